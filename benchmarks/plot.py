"""
Draw how long dlbackup takes beside what people would use instead, from the figures of `side_by_side.py --json`.

    python benchmarks/plot.py FIGURES > docs/performance.svg

One bar for each comparison, the ratio of medians, and a mark where the aim is. No library is needed.
"""

import json
import statistics
import sys
from pathlib import Path

# Our command, the job of the peers and their commands, whose times are added, and how often their time at most.
AIMS = (
    ("dump", "dump", ("pg_dump | zstd -3",), 1.35),
    ("dump", "dump", ("pg_dump --rows-per-insert=1000 | zstd -3",), 0.5),
    ("dump", "dump", ("pg_dump -Fc",), 0.4),
    ("restore --no-read-back", "restore", ("zstd | psql -1, COPY dump",), 1.2),
    ("restore --no-read-back", "restore", ("pg_restore -j2",), 1.3),
    ("restore", "restore", ("zstd | psql -1, COPY dump",), 1.8),
    ("restore", "restore", ("zstd | psql -1, INSERT dump",), 0.15),
    ("verify", "restore", ("dlbackup restore",), 0.4),
    ("migrate", "migrate", ("bare ATTACH with migration", "dlbackup dump", "dlbackup restore"), 1.4),
)
_ROW, _LEFT, _WIDTH, _MOST = 26, 470, 330, 3.0


def main() -> None:
    figures = json.loads(Path(sys.argv[1]).read_text())
    medians = {(job, it["name"]): statistics.median(it["seconds"]) for job, found in figures.items() for it in found}
    height = _ROW * len(AIMS) + 40
    print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH + 60}" height="{height}"', end="")
    print(' font-family="sans-serif" font-size="12">')
    print(
        '<rect width="100%" height="100%" fill="white"/><text x="10" y="18">time of dlbackup / time of the peer:',
        end="",
    )
    print(" ratio of medians; the line is the aim</text>")
    for number, (ours, job, peers, aim) in enumerate(AIMS):
        ratio = medians[ours.split()[0], f"dlbackup {ours}"] / sum(medians[job, peer] for peer in peers)
        y = 30 + _ROW * number
        label = f"{ours} / {' + '.join(peer.removeprefix('dlbackup ') for peer in peers)}"
        color = "#4a9" if ratio <= aim else "#d95"
        length, mark = (_LEFT + min(value, _MOST) / _MOST * _WIDTH for value in (ratio, aim))
        print(f'<text x="10" y="{y + 14}">{label}</text>')
        print(f'<rect x="{_LEFT}" y="{y}" width="{length - _LEFT:.1f}" height="18" fill="{color}"/>')
        print(f'<path d="M{mark:.1f} {y - 2}v22" stroke="black" stroke-width="2"/>')
        print(f'<text x="{length + 6:.1f}" y="{y + 14}">{ratio:.2f}</text>')
    print("</svg>")


if __name__ == "__main__":
    main()
