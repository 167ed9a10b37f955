"""Trees and the integrals that they stand for; all trees, and all planar forests, of up to three nodes."""

import matplotlib.pyplot as plt

import siglib

BLUE, RED, GREY = "#0072b2", "#d55e00", "#999999"


def draw(axes, tree, left, y, color):
    """The tree with its root at height y; returns where its root is, and how many leaves it has."""
    *children, label = tree
    roots, width = [], 0
    for child in children:
        root, n_leaves = draw(axes, child, left + width, y + 1, color)
        roots.append(root)
        width += n_leaves
    x = (roots[0] + roots[-1]) / 2 if roots else left
    for root in roots:
        axes.plot([x, root], [y, y + 1], color=GREY, linewidth=1.2, zorder=1)
    axes.plot(x, y, "o", color=color, markersize=12, zorder=2)
    axes.text(x, y, label, color="white", ha="center", va="center_baseline", fontsize=8, zorder=3)
    return x, max(width, 1)


def row(axes, title, forests, captions, color, gap):
    """Forests side by side, a caption below each."""
    x = 0
    for forest, caption in zip(forests, captions, strict=True):
        start = x
        for tree in forest:
            x += draw(axes, tree, x, 0, color)[1]
        axes.text((start + x - 1) / 2, -0.9, caption, ha="center", va="center")
        x += gap
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlim(-0.8, 19.5)
    axes.set_ylim(-1.3, 2.5)
    axes.axis("off")


figure, (top, middle, bottom) = plt.subplots(3, 1, figsize=(9, 6))

integrals = {
    ("i",): r"$\int dx_i$",
    (("i",), "j"): r"$\int x_i\,dx_j$",
    ((("i",), "j"), "k"): r"$\iint x_i\,dx_j\,dx_k$",
    (("i",), ("j",), "k"): r"$\int x_i\,x_j\,dx_k$",
    (("i",), (("j",), "k"), "l"): r"$\int x_i\,(\int x_j\,dx_k)\,dx_l$",
}
row(top, "What trees stand for", [(tree,) for tree in integrals], integrals.values(), "black", 3)

step = [[0.0], [1.0]]
trees = [(tree,) for tree in siglib.trees(1, 3)[1:]]
captions = [f"$1/{1 / value:.0f}$" for value in siglib.branched_sig(step, 3)]
row(middle, "Trees, and their values for one step of length 1", trees, captions, BLUE, 1.5)

forests = siglib.trees(1, 3, planar=True)[1:]
captions = [f"$1/{1 / value:.0f}$" for value in siglib.branched_sig(step, 3, planar=True)]
row(bottom, "Ordered forests of planar trees, and their values for the same step", forests, captions, RED, 0.7)
