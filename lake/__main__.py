"""`python -m lake ls|verify|gc`: look at the lake, check it, clean it."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lake.catalogue import read_stamp
from lake.gc import collect, verify
from lake.store import Lake, default_home


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 1 when `verify` finds something wrong."""
    parser = argparse.ArgumentParser(prog="python -m lake", description=__doc__)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--home", type=Path, default=None, help="default: $MEDCSP_HOME, else .medcsp of this repository"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("ls", parents=[common], help="published tables: rows, rejected rows, size, version")
    commands.add_parser("verify", parents=[common], help="hash every published file again; exit status 1 on a mismatch")
    gc_parser = commands.add_parser("gc", parents=[common], help="delete versions that nobody needs")
    gc_parser.add_argument("--grace-days", type=float, default=1.0, help="spare what was current within this time")
    gc_parser.add_argument(
        "--runs", action="store_true", help="also corpora and checkpoints that nothing current needs"
    )
    gc_parser.add_argument("--dry-run", action="store_true", help="say what would go")
    options = parser.parse_args(arguments)
    lake = Lake(options.home or default_home())
    if not lake.home.is_dir():
        print(f"there is no lake at {lake.home}; run `make demo`, or name one with --home", file=sys.stderr)
        return 1
    match options.command:
        case "ls":
            lines = list_tables(lake)
        case "verify":
            problems = verify(lake)
            print("\n".join(problems or [f"{len(lake.tables())} tables are what their manifests say"]))
            return 1 if problems else 0
        case _:
            try:
                removed = collect(lake, grace_days=options.grace_days, dry_run=options.dry_run, runs=options.runs)
            except OSError as error:
                print(f"error: {error}; see to its rights, and run it again", file=sys.stderr)
                return 1
            word = "would delete" if options.dry_run else "deleted"
            lines = [*map(str, removed), f"{word} {len(removed)} files and folders"]
    print("\n".join(lines))
    return 0


def list_tables(lake: Lake) -> list[str]:
    """One line per published table, and one per catalogue view that still waits for tables."""
    tables = lake.tables()
    lines = [f"{'layer':<11} {'table':<32} {'rows':>12} {'rejected':>9} {'MB':>9} {'seconds':>8}  version"]
    for name, manifest in sorted(tables.items(), key=lambda item: (item[1].layer, item[0])):
        size = sum(file.num_bytes for file in manifest.files) / 1e6
        seconds = lake.timing(name).get("seconds", 0.0)
        lines.append(
            f"{manifest.layer:<11} {name:<32} {manifest.rows:>12,} {sum(manifest.rejected.values()):>9,} "
            f"{size:>9.2f} {seconds:>8.2f}  {manifest.version}"
        )
    return lines + [f"view {view} {reason}" for view, reason in read_stamp(lake.home).get("waiting", {}).items()]


if __name__ == "__main__":
    sys.exit(main())
