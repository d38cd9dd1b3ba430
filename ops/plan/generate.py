#!/usr/bin/env python3
"""Writes gateway/routing/src/plan/builtin.tsv, the number plan compiled into smsgw-routing.

    python3 -m venv target/plan && target/plan/bin/pip install -r ops/plan/requirements.txt
    npm install --prefix target/plan mcc-mnc-list@1.1.11      (the version in ops/plan/package.json)
    target/plan/bin/python ops/plan/generate.py --mnc target/plan/node_modules/mcc-mnc-list/mcc-mnc-list.json

Countries come from the patterns of the `phonenumbers` package: each region of a shared calling code is a set of digit
strings, and the prefixes at which those sets part are the lines written. Networks come from its carrier prefixes,
joined with the list of mobile network codes by country and name; see `codes_of` for what counts as the same name.
At the end the file is read back with a plain longest-prefix search and compared with what `phonenumbers` itself says
about random valid numbers. ops/plan/README.md holds sources, licences, counts and that comparison.
"""

import argparse
import collections
import json
import pathlib
import random
import re
import re._parser as sre
import unicodedata

import phonenumbers
from phonenumbers import carrier, phonenumberutil
from phonenumbers.carrierdata import CARRIER_DATA
from phonenumbers.geodata.locale import LOCALE_DATA

OUT = pathlib.Path(__file__).parents[2] / "gateway/routing/src/plan/builtin.tsv"
# Digits behind the calling code at which two countries must have parted; below, the order of the package decides.
DEEPEST = 8
WORLD = "001"
# Where two regions of the package claim the same numbers the first listed has them, except that the landlines of these go
# before it: Western Sahara's stand within Morocco's patterns, its mobile ranges cannot be told apart.
FIRST = {"EH"}
# What the calling codes of no country are for (ITU-T E.164, annex to the operational bulletin).
WORLD_NAMES = {
    800: "International Freephone Service",
    808: "International Shared Cost Service",
    870: "Inmarsat",
    878: "Universal Personal Telecommunications",
    881: "Global Mobile Satellite System",
    882: "International Networks",
    883: "International Networks",
    888: "Telecommunications for Disaster Relief",
    979: "International Premium Rate Service",
}
# Names in the one source that the other writes otherwise.
ALIASES = {"three": "3", "hutchison3g": "3", "t2": "Tele2", "tmobile": "Telekom"}
KINDS = "fixed_line mobile toll_free premium_rate shared_cost voip personal_number pager uan voicemail".split()


class Machine:
    """The digit strings of a pattern, as a machine that is fed digit by digit."""

    def __init__(self, pattern):
        self.edges = []  # state -> list of (digits or None, state)
        self.known = {}
        self.start, self.end = self.state(), self.state()
        self.build(sre.parse(pattern), self.start, self.end)

    def state(self):
        self.edges.append([])
        return len(self.edges) - 1

    def build(self, items, start, end):
        at = start
        for op, value in items:
            to = self.state()
            self.item(op, value, at, to)
            at = to
        self.edges[at].append((None, end))

    def item(self, op, value, at, to):
        name = str(op)
        if name == "LITERAL":
            self.edges[at].append(({chr(value)}, to))
        elif name == "IN":
            digits = set()
            for kind, what in value:
                if str(kind) == "LITERAL":
                    digits.add(chr(what))
                elif str(kind) == "RANGE":
                    digits |= {chr(code) for code in range(what[0], what[1] + 1)}
                else:
                    assert str(what) == "CATEGORY_DIGIT", (kind, what)
                    digits |= set("0123456789")
            self.edges[at].append((digits, to))
        elif name == "SUBPATTERN":
            self.build(value[-1], at, to)
        elif name == "BRANCH":
            for branch in value[1]:
                self.build(branch, at, to)
        elif name == "MAX_REPEAT":
            least, most, what = value
            for count in range(most):
                if count >= least:
                    self.edges[at].append((None, to))
                after = self.state()
                self.build(what, at, after)
                at = after
            self.edges[at].append((None, to))
        else:
            raise ValueError(f"unknown part of a pattern: {name}")

    def closed(self, states):
        seen, todo = set(states), list(states)
        while todo:
            for digits, to in self.edges[todo.pop()]:
                if digits is None and to not in seen:
                    seen.add(to)
                    todo.append(to)
        return frozenset(seen)

    def first(self):
        return self.closed({self.start})

    def step(self, states, digit):
        if (states, digit) not in self.known:
            moved = {to for at in states for digits, to in self.edges[at] if digits and digit in digits}
            self.known[states, digit] = self.closed(moved)
        return self.known[states, digit]


class Region:
    """The numbers of one region, without the calling code."""

    def __init__(self, code, metadata):
        self.code = code
        # With leading digits the package asks for nothing else.
        self.by_lead = metadata.leading_digits is not None
        if self.by_lead:
            patterns = [metadata.leading_digits]
        else:
            kinds = ["fixed_line"] if code in FIRST else KINDS
            patterns = [getattr(metadata, kind).national_number_pattern for kind in kinds if getattr(metadata, kind)]
        self.machine = Machine("|".join(f"(?:{pattern})" for pattern in patterns if pattern))

    def first(self):
        return self.machine.first()

    def step(self, states, digit):
        if self.owns(states):
            return states
        return self.machine.step(states, digit)

    def owns(self, states):
        """Every number from here on is this region's."""
        return self.by_lead and self.machine.end in states


def split(calling_code, main, regions, out):
    """Adds to `out` the prefixes at which the country is another than before them."""
    out[str(calling_code)] = main

    def walk(prefix, depth, states, inherited):
        alive = [region for region in regions if states[region.code]]
        if not alive:
            return
        settled = len(alive) == 1 or alive[0].owns(states[alive[0].code]) or depth == DEEPEST
        here = alive[0].code if settled else inherited
        if here != inherited:
            out[prefix] = here
        if settled:
            return
        for digit in "0123456789":
            moved = {region.code: region.step(states[region.code], digit) for region in regions}
            walk(prefix + digit, depth + 1, moved, here)

    walk(str(calling_code), 0, {region.code: region.first() for region in regions}, main)


def shorten(out):
    """Ten prefixes that say the same are one, and one that says what the shorter one says is none."""
    for length in range(max(map(len, out)), 1, -1):
        groups = collections.defaultdict(dict)
        for prefix in [prefix for prefix in out if len(prefix) == length]:
            groups[prefix[:-1]][prefix[-1]] = out[prefix]
        for parent, digits in groups.items():
            if len(digits) == 10 and len(set(digits.values())) == 1 and (parent not in out or len(parent) > 3):
                for digit in digits:
                    del out[parent + digit]
                out[parent] = next(iter(digits.values()))
    for prefix in sorted(out, key=len, reverse=True):
        shorter = next((prefix[:end] for end in range(len(prefix) - 1, 0, -1) if prefix[:end] in out), None)
        if shorter and out[shorter] == out[prefix]:
            del out[prefix]


def longest(table, digits):
    return next((table[digits[:end]] for end in range(len(digits), 0, -1) if digits[:end] in table), None)


def countries():
    out, of = {}, {}
    for code, names in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items():
        for name in names:
            if name != WORLD:
                of.setdefault(name, code)
        if len(names) == 1:
            out[str(code)] = names[0]
            continue
        metadata = phonenumbers.PhoneMetadata.metadata_for_region
        regions = [Region(name, metadata(name)) for name in sorted(names, key=lambda name: name not in FIRST)]
        split(code, names[0], regions, out)
    shorten(out)
    return out, of


def plain(name):
    """A name without case, accents, punctuation and the words that say only that it is a company."""
    text = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    text = re.sub(r"\([^)]*\)", " ", text).replace("&", " and ")
    words = re.findall(r"[a-z0-9]+", text)
    legal = set("ltd limited inc gmbh ag sa s a b v bv nv llc plc spa srl ab as oy co corp corporation pty pte sal "
                "jsc ojsc pjsc cjsc kg ohg the".split())
    return "".join(word for word in words if word not in legal)


def spellings(name, country):
    """A name as it is compared: whole, each side of a slash, and all of them without the country's name or code."""
    at_home = {country.lower(), *(plain(text) for text in LOCALE_DATA.get(country, {}).values())} - {""}
    for piece in [name, *name.split("/")]:
        words = plain(piece)
        for text in (piece, ALIASES.get(words, "")):
            yield plain(text)
            tokens = re.findall(r"\w+", text)
            for end in range(1, min(4, len(tokens))):
                if plain(" ".join(tokens[-end:])) in at_home:
                    yield plain(" ".join(tokens[:-end]))


def codes_of(entries, country):
    """Name to network code within a country; only where the name leads to one network.

    Several codes under one brand and one company are one network with its operational code that is listed first
    (networks take further codes as they grow). Codes under one name but of different brands or companies are ambiguous
    and lead nowhere: so are the brands of India, which have a code for each circle.
    """
    found = collections.defaultdict(list)
    for entry in entries:
        if entry["status"] == "Operational" and re.fullmatch(r"\d{3}", entry["mcc"] or "") \
                and re.fullmatch(r"\d{2,3}", entry["mnc"] or ""):
            for key in ("brand", "operator"):
                for name in set(spellings(entry[key] or "", country)) - {""}:
                    found[name].append((key != "brand", entry))
    codes = {}
    for name, hits in found.items():
        # A brand of that name goes before a company of that name, which may run several brands.
        best = [entry for by_company, entry in hits if not by_company] or [entry for _, entry in hits]
        if len({(plain(entry["brand"] or ""), plain(entry["operator"] or "")) for entry in best}) == 1:
            codes[name] = f'{best[0]["mcc"]}-{best[0]["mnc"]}'
    return codes


def name_in(names):
    return names.get("en") or next((names[language] for language in sorted(names) if names[language]), "")


def networks(by_prefix, mnc_list):
    by_country = collections.defaultdict(list)
    for entry in mnc_list:
        if entry["countryCode"]:
            # Some are listed for several, as in "BL/GF/GP".
            for code in re.split(r"[/,\s]+", entry["countryCode"]):
                by_country[code[:2] if len(code) > 2 and code[2] == "-" else code].append(entry)
    codes = {code: codes_of(entries, code) for code, entries in by_country.items()}
    lines, prefixes, stats = {}, {}, collections.Counter()
    worlds = {str(code): f"{WORLD}/{code}" for code in WORLD_NAMES}
    for prefix, names in sorted(CARRIER_DATA.items()):
        name, country = name_in(names).strip(), longest(by_prefix, prefix)
        if not name or country is None:
            stats["carrier prefixes without name or country"] += 1
            continue
        country = worlds.get(prefix[:3], country)
        slug = re.sub(r"[^a-z0-9]+", "-", unicodedata.normalize("NFKD", name).encode("ascii", "ignore")
                      .decode().lower()).strip("-") or "x" + "".join(f"{ord(c):x}" for c in name)
        key = f"{country.lower().replace('/', '-')}-{slug}"
        while key in lines and lines[key][2] != name:
            key += "+"
        known = codes.get(country, {})
        hits = {known[piece] for piece in spellings(name, country) if piece in known}
        lines[key] = (country, hits.pop() if len(hits) == 1 else "-", name)
        prefixes[prefix] = key
    shorten(prefixes)
    used = set(prefixes.values())
    return {key: line for key, line in lines.items() if key in used}, prefixes, stats


def write(path, countries_by_prefix, calling_code, network_lines, network_prefixes, mnc_version):
    regions = sorted(set(countries_by_prefix.values()) - {WORLD})
    out = [
        "# Number plan of smsgw. Written by ops/plan/generate.py: do not edit, see ops/plan/README.md.",
        f"# phonenumbers {phonenumbers.__version__}; mcc-mnc-list {mnc_version}. Format: gateway/routing/src/plan/read.rs.",
    ]
    for region in regions:
        name = LOCALE_DATA.get(region, {}).get("en") or {"AC": "Ascension Island", "TA": "Tristan da Cunha",
                                                         "XK": "Kosovo"}[region]
        out.append(f"country\t{region}\t{calling_code[region]}\t{name}")
    for code, name in sorted(WORLD_NAMES.items()):
        out.append(f"country\t{WORLD}/{code}\t{code}\t{name}")
    for key, (country, code, name) in sorted(network_lines.items()):
        out.append(f"network\t{key}\t{country}\t{code}\t{name}")
    merged = [(prefix, f"{WORLD}/{prefix}" if country == WORLD else country)
              for prefix, country in countries_by_prefix.items()]
    merged += network_prefixes.items()
    out += [f"{prefix}\t{target}" for prefix, target in sorted(merged)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(out) + "\n", encoding="utf-8")
    return len(regions), len(merged)


def read(path):
    by_country, by_network, names = {}, {}, {}
    for line in path.read_text(encoding="utf-8").splitlines():
        fields = line.split("\t")
        if line.startswith("#") or fields[0] == "country":
            continue
        if fields[0] == "network":
            names[fields[1]] = fields[4]
        elif fields[1] in names:
            by_network[fields[0]] = fields[1]
        else:
            by_country[fields[0]] = fields[1].split("/")[0]
    return by_country, by_network, names


def some_valid_numbers(count, seed):
    """Valid numbers: examples of every region and kind with their last digits changed, regions in turn."""
    source, found = random.Random(seed), []
    supported = sorted(phonenumbers.SUPPORTED_REGIONS)
    codes = sorted(code for code, names in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items() if names == (WORLD,))
    kinds = [phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE]
    while len(found) < count:
        for region in supported + codes:
            if isinstance(region, int):
                example = phonenumberutil.example_number_for_non_geo_entity(region)
            else:
                example = phonenumberutil.example_number_for_type(region, source.choice(kinds))
            if example is None:
                continue
            digits = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)[1:]
            lead = len(str(example.country_code))
            kept = source.randrange(lead, len(digits) - 2)
            digits = digits[:kept] + "".join(source.choice("0123456789") for _ in digits[kept:])
            number = phonenumbers.parse("+" + digits)
            if phonenumbers.is_valid_number(number):
                # Written again: the package takes a national 0 behind the calling code for what it is.
                found.append((phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)[1:], number))
    return found[:count]


def compare(path, count, seed):
    by_country, by_network, names = read(path)
    right, wrong = collections.Counter(), []
    for digits, number in some_valid_numbers(count, seed):
        region = phonenumbers.region_code_for_number(number)
        right["country"] += longest(by_country, digits) == region
        if longest(by_country, digits) != region:
            wrong.append(("country", digits, longest(by_country, digits), region))
        # The package answers '' for what is no mobile number; its table is asked here, as the plan has it.
        key = longest(by_network, digits)
        theirs = carrier.name_for_number(number, "en") or name_in(
            next((CARRIER_DATA[digits[:end]] for end in range(len(digits), 0, -1) if digits[:end] in CARRIER_DATA), {}))
        right["network"] += (names[key] if key else "") == theirs
        if (names[key] if key else "") != theirs:
            wrong.append(("network", digits, key, theirs))
    return right, wrong


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--mnc", type=pathlib.Path, required=True, help="mcc-mnc-list.json of npm mcc-mnc-list")
    arguments.add_argument("--numbers", type=int, default=10_000, help="random numbers to compare")
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()
    package = json.loads((given.mnc.parent / "package.json").read_text(encoding="utf-8"))
    by_prefix, calling_code = countries()
    lines, prefixes, stats = networks(by_prefix, json.loads(given.mnc.read_text(encoding="utf-8")))
    regions, written = write(OUT, by_prefix, calling_code, lines, prefixes, package["version"])
    coded = {key for key, (_, code, _) in lines.items() if code != "-"}
    print(f"{OUT.name}: {OUT.stat().st_size} octets, {written} prefixes")
    print(f"countries: {regions} and {len(WORLD_NAMES)} codes of no country, {len(by_prefix)} prefixes")
    print(f"networks: {len(lines)}, of them with MCC and MNC {len(coded)}; "
          f"{len(prefixes)} prefixes (of {len(CARRIER_DATA)} given), of them with MCC and MNC "
          f"{sum(key in coded for key in prefixes.values())}")
    for what, count in stats.items():
        print(f"{what}: {count}")
    right, wrong = compare(OUT, given.numbers, given.seed)
    print(f"agreement on {given.numbers} random valid numbers: country {right['country'] / given.numbers:.2%}, "
          f"network {right['network'] / given.numbers:.2%}")
    for difference in wrong[:20]:
        print("differs:", *difference)


if __name__ == "__main__":
    main()
