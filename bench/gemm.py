"""gemm: one matrix product, c[m,n] = a @ b, as a share of the FMA peak and against OpenBLAS and MKL."""
from .case import Case, Figure

SQUARES = (256, 512, 1024, 2048)
LAYOUTS = ("NN", "NT", "TN")  # T: the operand is stored transposed
SHAPES = ((64, 64, 64), (128, 10, 256), (64, 256, 784), (784, 256, 128), (4096, 64, 576), (32, 3072, 768),
          (1024, 512, 2048), (6272, 128, 1152))


def case(name, layout, m, n, k):
    return Case(name, "gemm", {"layout": layout, "m": m, "n": n, "k": k}, limit={"kind": "fma", "flops": 2 * m * n * k})


def cases(quick):
    squares, shapes = (SQUARES[:2], SHAPES[:4]) if quick else (SQUARES, SHAPES)
    return [*(case(f"{layout} {n}", layout, n, n, n) for layout in LAYOUTS for n in squares),
            *(case(f"({m},{n},{k})", "NN", m, n, k) for m, n, k in shapes)]


ALL = (*LAYOUTS, "(")
FIGURES = [
    Figure("GEMM, NN/NT/TN at 256-2048: 95 % of the FMA peak", 0.95, ("limit",), LAYOUTS, threads=1),
    Figure("GEMM, all sizes: never slower than NumPy/OpenBLAS and PyTorch/MKL", 1.0, ("numpy", "torch"), ALL),
    Figure("beyond the issue: GEMM, never slower than JAX", 1.0, ("jax",), ALL),
    Figure("beyond the issue: GEMM, never slower than OpenBLAS and MKL made to use AVX-512", 1.0,
           ("numpy-avx512", "torch-avx512"), ALL),
]
