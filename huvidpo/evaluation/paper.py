"""What the HuViDPO paper (arXiv 2502.01690) reports, for comparison. None of it was measured here.

Only figures that were checked against the paper are listed: cells of Table 1 that are missing here are in the paper,
and so is its Table 2, of ablations.
"""

AVERAGES = {  # CLIPScore, SSIM x 100, MSE over the eight categories
    "LAMP": (33.1, 89.9, 20.2),
    "HuViDPO": (33.0, 91.1, 18.6),
}
BY_CATEGORY = {  # SSIM x 100, MSE
    "LAMP": {
        "firework": (88.0, 25.9),
        "guitar": (93.9, 14.4),
        "helicopter": (81.3, 31.5),
        "rain": (93.3, 12.1),
        "smile": (88.1, 25.1),
        "waterfall": (95.2, 12.2),
    },
    "HuViDPO": {
        "firework": (86.6, 24.8),
        "guitar": (95.8, 13.1),
        "helicopter": (91.6, 24.1),
        "waterfall": (89.3, 24.3),
    },
}
RANGES = {"LVDM": ("52 to 73", "61 to 82")}  # SSIM x 100 and MSE, the lowest and highest of the categories
STUDY = {  # 58 people, 14 prompts, marks of 1 to 5 as percent
    "LAMP": {"quality": 72.5, "consistency": 60.8, "alignment": 75.6},
    "HuViDPO": {"quality": 83.9, "consistency": 75.1, "alignment": 85.1},
}


def paper_lines() -> list[str]:
    """The paper's figures in Markdown."""
    lines = ["| the paper's | CLIPScore | SSIM | MSE |", "|---|---|---|---|"]
    lines += [f"| {name} | {clip} | {ssim} | {mse} |" for name, (clip, ssim, mse) in AVERAGES.items()]
    categories = list(dict.fromkeys(category for row in BY_CATEGORY.values() for category in row))
    lines += ["", "| the paper's SSIM / MSE | " + " | ".join(categories) + " |", "|---" * (len(categories) + 1) + "|"]
    for name, row in BY_CATEGORY.items():
        cells = (f"{row[category][0]} / {row[category][1]}" if category in row else "" for category in categories)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    ranges = (f"{name} has an SSIM of {ssim} and an MSE of {mse}" for name, (ssim, mse) in RANGES.items())
    missing = "Not repeated here: the paper's cells of LVDM and AnimateDiff, and its Table 2 of ablations."
    lines += ["", f"Over the categories {', '.join(ranges)}. {missing}"]
    lines += [
        "",
        "| the paper's user study, % | visual quality | frame consistency | text alignment |",
        "|---|---|---|---|",
    ]
    return lines + [f"| {name} | " + " | ".join(map(str, marks.values())) + " |" for name, marks in STUDY.items()]


def paper_study_words() -> str:
    """The paper's user study in one sentence, to stand beside another study's marks."""
    rows = (
        f"{name} " + ", ".join(f"{question} {mark}" for question, mark in marks.items())
        for name, marks in STUDY.items()
    )
    return f"The paper's user study, in percent of its scale, of other clips and people: {'; '.join(rows)}."
