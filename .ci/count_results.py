"""Adds up the JUnit reports of a folder: `N passed, N failed`, and `, N skipped` where some were.

Exits with 1 if something failed or if nothing ran.
"""

import sys
from pathlib import Path
from xml.etree import ElementTree as ET


def main(folder: Path) -> int:
    """Prints the sum; returns the exit code."""
    ran = failed = skipped = 0
    for report in sorted(folder.glob("*.xml")):
        # A test is one `testcase`; it may carry a failure and, from its teardown, an error as well.
        for case in ET.parse(report).iter("testcase"):  # noqa: S314 - our own reports
            ran += 1
            if case.find("failure") is not None or case.find("error") is not None:
                failed += 1
            elif case.find("skipped") is not None:
                skipped += 1
    print(f"{ran - failed - skipped} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return int(failed > 0 or ran == skipped)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
