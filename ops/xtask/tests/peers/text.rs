//! Others read the gateway's texts as it wrote them: tables, units, parts, and parts packed for the air.
//!
//! Makes cases, the same in every run, and hands them to `ops/peers/text_check.py`, which says what goes to whom and holds
//! the assertions. A missing peer fails this test; it is never skipped.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use smsgw_message::Encoding;
use smsgw_message::gsm7::{Alphabet, ESC, FillBits, Language, Shifts, pack};
use smsgw_message::segment::split;
use smsgw_message::text::{Requested, encode};

/// Random texts of each kind.
const UNITS: usize = 20_000;
const PARTS: usize = 10_000;
const OVER_THE_AIR: usize = 4_000;

/// SplitMix64: the same numbers in every run.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.roll() % u64::try_from(bound).unwrap()).unwrap()
    }

    pub(crate) fn text(&mut self, characters: &[char], longest: usize) -> String {
        let length = self.below(longest + 1);
        (0..length)
            .map(|_| characters[self.below(characters.len())])
            .collect()
    }
}

pub(crate) fn hex(octets: &[u8]) -> String {
    if octets.is_empty() {
        return "-".to_owned();
    }
    octets.iter().fold(String::new(), |mut text, octet| {
        write!(text, "{octet:02x}").unwrap();
        text
    })
}

fn character(shifts: Shifts, units: &[u8]) -> Option<char> {
    let (text, lossy) = Alphabet::of(shifts).decode(units);
    text.chars().next().filter(|_| !lossy)
}

fn characters(shifts: Shifts) -> Vec<char> {
    let plain = (0..0x80).filter_map(|code| character(shifts, &[code]));
    let escaped = (0..0x80).filter_map(|code| character(shifts, &[ESC, code]));
    plain.chain(escaped).collect()
}

fn tables(cases: &mut String) {
    for identifier in 0..=13 {
        let language = Language::from_identifier(identifier);
        let locking = Shifts {
            locking: language,
            single: None,
        };
        let single = Shifts {
            locking: None,
            single: language,
        };
        for code in 0..0x80 {
            for (kind, cell) in [
                ("locking", character(locking, &[code])),
                ("single", character(single, &[ESC, code])),
            ] {
                let point = cell.map_or(0, u32::from);
                writeln!(cases, "table {kind} {identifier} {code} {point}").unwrap();
            }
        }
    }
}

fn units(cases: &mut String, dice: &mut Dice) {
    for _ in 0..UNITS {
        let (locking, single) = (dice.below(14), dice.below(14));
        let language = |identifier| Language::from_identifier(u8::try_from(identifier).unwrap());
        let shifts = Shifts {
            locking: language(locking),
            single: language(single),
        };
        let text = dice.text(&characters(shifts), 160);
        let units = Alphabet::of(shifts).encode(&text).unwrap();
        if !text.is_empty() {
            let (text, units) = (hex(text.as_bytes()), hex(&units));
            writeln!(cases, "units {locking} {single} {text} {units}").unwrap();
        }
    }
}

fn parts(cases: &mut String, dice: &mut Dice) {
    // smpplib has a grave accent in place of the section sign, and no form feed.
    let mut gsm = characters(Shifts::NONE);
    gsm.retain(|character| !['§', '\u{C}'].contains(character));
    let rare_escapes: Vec<char> = "The quick brown fox, 0123456789 jumps over: äöü é ß €"
        .chars()
        .collect();
    let wide: Vec<char> = "Привет, мир! 漢字 ελληνικά ç 😀 a".chars().collect();
    for round in 0..PARTS {
        let text = dice.text([&gsm, &rare_escapes, &wide][round % 3], 700);
        let body = encode(&text, Requested::Auto).unwrap();
        if text.is_empty() {
            continue;
        }
        let word = body.encoding.as_str();
        assert!([Encoding::Gsm7, Encoding::Ucs2].contains(&body.encoding));
        write!(cases, "parts {word} {}", hex(text.as_bytes())).unwrap();
        for part in split(&body, 0).unwrap() {
            write!(cases, " {}", hex(&part.user_data())).unwrap();
        }
        cases.push('\n');
    }
}

fn over_the_air(cases: &mut String, dice: &mut Dice) {
    let alphabet = characters(Shifts::NONE);
    for round in 0..OVER_THE_AIR {
        // No header, then headers of a private element of 0 to 20 octets: every number of fill bits.
        let header: Vec<u8> = match round % 22 {
            0 => Vec::new(),
            size => {
                let data = u8::try_from(size - 1).unwrap();
                let mut header = vec![data + 2, 0x80, data];
                header.extend((0..data).map(|_| u8::try_from(dice.below(256)).unwrap()));
                header
            }
        };
        let text = dice.text(&alphabet, 60) + "x";
        let units = Alphabet::of(Shifts::NONE).encode(&text).unwrap();
        let packed = pack(&units, FillBits::after_header(header.len())).unwrap();
        let (text, header, packed) = (hex(text.as_bytes()), hex(&header), hex(&packed));
        writeln!(cases, "tpdu {text} {header} {} {packed}", units.len()).unwrap();
    }
}

/// Runs the check on these cases.
fn check(cases: &str) -> Output {
    let (root, peers, python) = super::peers();
    let mut check = Command::new(python)
        .arg(root.join("ops/peers/text_check.py"))
        .env("SMSGW_PEERS", &peers)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = check.stdin.take().unwrap();
    // It reads everything before it says anything, unless it fails: then its own words tell more than a broken pipe.
    let written = input.write_all(cases.as_bytes());
    drop(input);
    let output = check.wait_with_output().unwrap();
    assert!(written.is_ok() || !output.status.success());
    output
}

#[test]
fn others_read_the_texts_of_the_gateway() {
    let mut cases = String::new();
    let mut dice = Dice(2_026);
    tables(&mut cases);
    units(&mut cases, &mut dice);
    parts(&mut cases, &mut dice);
    over_the_air(&mut cases, &mut dice);
    super::report(&check(&cases));
}

#[test]
fn the_check_of_texts_finds_what_is_planted() {
    let right_and_wrong = [
        ("table locking 1 4 8364", "table locking 1 4 232"),
        ("units 0 1 61c59f 611b73", "units 0 2 61c59f 611b73"),
        ("parts gsm7 6869 6869", "parts gsm7 6869 6868"),
        ("tpdu 6869 - 2 e834", "tpdu 6869 - 2 e835"),
        ("tpdu 6869 03800100 2 40a701", "tpdu 6869 03800100 2 e834"),
    ];
    for (right, wrong) in right_and_wrong {
        super::report(&check(&format!("{right}\n")));
        assert!(!check(&format!("{wrong}\n")).status.success(), "{wrong}");
    }
}
