"""Checks the committed schema of the configuration with a validator that is not ours.

schema_check.py SCHEMA SAMPLES: every sample must be taken, and every wrong file below refused, at the place named.
Runs in the environment of schemathesis, which has jsonschema_rs.
"""
import pathlib
import sys
import tomllib

import jsonschema_rs

NODE = "[node]\nname = 'x'\n"
WRONG = [
    ("", []),
    (NODE + "colour = 1\n", ["node"]),
    (NODE + "[operater.a]\n", []),
    (NODE + "[limits]\nmax_parts = 0\n", ["limits", "max_parts"]),
    (NODE + "[limits]\nmax_parts = '3'\n", ["limits", "max_parts"]),
    (NODE + "[operator.a]\nprotocol = 'smtp'\n", ["operator", "a", "protocol"]),
    (NODE + "[operator.a]\nhosts = 'h:1'\n", ["operator", "a", "hosts"]),
    (NODE + "[operator.a]\nenquire_link = '30 seconds'\n", ["operator", "a", "enquire_link"]),
    (NODE + "[operator.a.tls]\nca = 'x'\n", ["operator", "a", "tls"]),
    (NODE + "[[route.mt]]\nprefix = ['x']\noperators = ['a']\n", ["route", "mt", 0, "prefix", 0]),
    (NODE + "[route.mt]\nprefix = ['4']\n", ["route", "mt"]),
    (NODE + "[client.c]\nrate = 'fast'\n", ["client", "c", "rate"]),
    (NODE + "include = 'x'\n", ["node"]),
]
RIGHT = [
    NODE,
    "include = ['a/*.toml']\n" + NODE,
    NODE + "[operator.a]\nprotocol = '${KIND}'\nhosts = ['${HOST:-h:1}']\nenquire_link = '${TIME}'\n",
    NODE + "[operator.'a.b']\nprotocol = 'ucp'\nhosts = ['h:1']\n[operator.'a.b'.states]\nUNKNOWN = 'failed'\n",
]


def main() -> int:
    schema_file, samples = map(pathlib.Path, sys.argv[1:3])
    import json

    schema = json.loads(schema_file.read_text())
    jsonschema_rs.meta.validate(schema)
    validator = jsonschema_rs.Draft202012Validator(schema)
    faults = []
    right = [(file.name, file.read_text()) for file in sorted(samples.glob("*.toml"))]
    right += [(f"right {n}", text) for n, text in enumerate(RIGHT)]
    for name, text in right:
        for error in validator.iter_errors(tomllib.loads(text)):
            faults.append(f"{name}: {list(error.instance_path)}: {error.message}")
    for text, place in WRONG:
        places = [list(error.instance_path) for error in validator.iter_errors(tomllib.loads(text))]
        if place not in places:
            faults.append(f"not refused at {place} but at {places}: {text!r}")
    print("\n".join(faults) or f"{len(right)} files taken, {len(WRONG)} refused")
    return 1 if faults else 0


sys.exit(main())
