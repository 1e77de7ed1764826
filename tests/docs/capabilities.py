"""The table of what the drivers run, docs/capabilities.md, against what their devices say.

usage: capabilities.py PROGRAM PAGE DRIVERS [write]    with `write` the page's table is made anew
DRIVERS, with commas, are those to ask. The column of one that is not asked, or has no device here, is left as it is.
"""
import re
import subprocess
import sys

DRIVERS = ("cpu", "vulkan", "opencl")
ALL = 20  # so many layouts are "every layout"
TABLE = re.compile(r"^\| op \|.*?(?=^$|\Z)", re.M | re.S)


def cells(program, driver):
    """{row: cell} of the driver; None if it has no device."""
    result = subprocess.run([program, driver], capture_output=True, text=True)
    if result.returncode == 77:
        return None
    result.check_returncode()
    rows = {}
    for line in result.stdout.splitlines():
        name, *values = line.split("\t")
        text = ", ".join(values).replace(", i2_s 128/32 ", ", ")  # the page says so
        rows[name] = "every layout" if len(values) >= ALL else text or "no"
    return rows


def parsed(page):
    """{driver: {row: cell}} of the table of the page."""
    table = TABLE.search(page)
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table[0].splitlines()] if table else []
    return {driver: {line[0].strip("`"): line[i + 1] for line in lines[2:]}
            for i, driver in enumerate(lines[0][1:])} if lines else {}


def main():
    program, path, asked, *write = sys.argv[1:]
    with open(path, encoding="utf-8") as f:
        page = f.read()
    columns, missing, wrong = parsed(page), [], 0
    for driver in DRIVERS:
        said = cells(program, driver) if driver in asked.split(",") else None
        if said is None:
            missing.append(driver)
            continue
        shown = columns.get(driver, {})
        for row in sorted(said.keys() | shown.keys()) if not write else ():
            if said.get(row) != shown.get(row):
                wrong += 1
                print(f"{driver}, {row}: the page says {shown.get(row)}, the device {said.get(row)}")
        columns[driver] = said
    if missing:
        print("not asked, or no device here: " + ", ".join(missing))
    if write:
        lines = ["| op | " + " | ".join(DRIVERS) + " |", "|---" * (len(DRIVERS) + 1) + "|"]
        lines += [f"| `{row}` | " + " | ".join(columns.get(driver, {}).get(row, "?") for driver in DRIVERS) + " |"
                  for row in columns["cpu"]]
        with open(path, "w", encoding="utf-8") as f:
            f.write(TABLE.sub(lambda _: "\n".join(lines) + "\n", page, count=1))
    elif wrong:
        print("to mend the page, run this test's command with `write` behind it")
    return 1 if wrong else 0


sys.exit(main())
