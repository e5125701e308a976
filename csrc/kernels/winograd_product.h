/* Winograd's 36 products, m = v u and u = v^T d, point by point. Layouts and axes as in winograd.h.
 *
 * The register tiles are not those of gemm.h: with 16 or 32 channels on either side they are one or two vectors wide
 * and then want more rows than its 8, and rows lie 16 floats apart, so that one pointer and constants address all of
 * them. Share of the FMA peak in L1 (Cascade Lake), k of 16 and 64: 14 x 2 90 and 98 %, 8 x 3 89 and 96 %, 8 x 2 85
 * and 95 %, 16 x 1 86 and 90 %. Some rows' multiply-adds read from memory (vfrom_memory): 1.02-1.06 times as fast while
 * the core's other thread is busy; all of a tile one vector wide: gradients of 16 columns 1.04-1.15 times.
 */
#if VL == 16
#define WINO_ROWS 14      /* of a tile of two vectors */
#define WINO_THIN_ROWS 16 /* of a tile of one */
#define WINO_DW_ROWS 8    /* of a tile of the weight gradient, twice as many where it is thin: divides 16 */
#elif defined(__aarch64__)
#define WINO_ROWS 12
#define WINO_THIN_ROWS 12
#define WINO_DW_ROWS 8
#elif VL == 8
#define WINO_ROWS 6
#define WINO_THIN_ROWS 12
#define WINO_DW_ROWS 4
#else
#define WINO_ROWS 4
#define WINO_THIN_ROWS 8
#define WINO_DW_ROWS 4
#endif

/* Where column j of 16-channel blocks lies; j is a multiple of VL. */
INLINE int64_t wino_column(int64_t j, int64_t block) { return VL == 16 ? j / 16 * block : j / 16 * block + j % 16; }

/* m[tile][o] (+)= sum of v[tile][c] u[c][o]: `rows` tiles, nv vectors of o. Meanwhile, two runs of 8 c floats are
 * fetched, `near` into L1 and `far` into L2. */
INLINE void wino_tile_body(const int rows, const int nv, float *m, int64_t m_block, const float *v, int64_t v_block,
                           const float *u, int64_t c, int acc, const float *near, const float *far)
{
    vf s[WINO_THIN_ROWS][WINO_WIDE];
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int j = 0; j < nv; j++) s[i][j] = vset(0);
    for (; c > 0; c -= 16, v += v_block) {
        const float *a = v, *end = v + (c < 16 ? c : 16);
        for (; a + 2 <= end; a += 2, near += 16, far += 16) {
            __builtin_prefetch(near, 0, 3);
            __builtin_prefetch(far, 0, 2);
            UNROLL for (int q = 0; q < 2; q++, u += nv * VL) {
                vf b[WINO_WIDE];
                UNROLL for (int j = 0; j < nv; j++) b[j] = vload(u + j * VL);
                UNROLL for (int i = 0; i < rows; i++)
                    vmuladd_row(vfrom_memory(rows, nv, i), nv, s[i], a + 16 * i + q, b);
            }
        }
        if (a < end) {
            UNROLL for (int i = 0; i < rows; i++)
                UNROLL for (int j = 0; j < nv; j++) s[i][j] += vset(a[16 * i]) * vload(u + j * VL);
            u += nv * VL;
        }
    }
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int j = 0; j < nv; j++) {
            float *to = m + wino_column(j * VL, m_block) + 16 * i;
            vstore(to, acc ? vload(to) + s[i][j] : s[i][j]);
        }
}

typedef void wino_tile_fn(float *m, int64_t m_block, const float *v, int64_t v_block, const float *u, int64_t c,
                          int acc, const float *near, const float *far);
#define WINO_TILE(rows, nv)                                                                                            \
    static void wino_tile_##rows##x##nv(float *m, int64_t m_block, const float *v, int64_t v_block, const float *u,    \
                                        int64_t c, int acc, const float *near, const float *far)                       \
    { wino_tile_body(rows, nv, m, m_block, v, v_block, u, c, acc, near, far); }
#define WINO_TILES_4(nv) WINO_TILE(1, nv) WINO_TILE(2, nv) WINO_TILE(3, nv) WINO_TILE(4, nv)
#define WINO_TILES_6(nv) WINO_TILES_4(nv) WINO_TILE(5, nv) WINO_TILE(6, nv)
#define WINO_TILES_8(nv) WINO_TILES_6(nv) WINO_TILE(7, nv) WINO_TILE(8, nv)
#define WINO_TILES_12(nv) WINO_TILES_8(nv) WINO_TILE(9, nv) WINO_TILE(10, nv) WINO_TILE(11, nv) WINO_TILE(12, nv)
#define WINO_TILES_14(nv) WINO_TILES_12(nv) WINO_TILE(13, nv) WINO_TILE(14, nv)
#define WINO_TILES_16(nv) WINO_TILES_14(nv) WINO_TILE(15, nv) WINO_TILE(16, nv)
#define WINO_NAMES_4(nv) wino_tile_1x##nv, wino_tile_2x##nv, wino_tile_3x##nv, wino_tile_4x##nv
#define WINO_NAMES_6(nv) WINO_NAMES_4(nv), wino_tile_5x##nv, wino_tile_6x##nv
#define WINO_NAMES_8(nv) WINO_NAMES_6(nv), wino_tile_7x##nv, wino_tile_8x##nv
#define WINO_NAMES_12(nv) WINO_NAMES_8(nv), wino_tile_9x##nv, wino_tile_10x##nv, wino_tile_11x##nv, wino_tile_12x##nv
#define WINO_NAMES_14(nv) WINO_NAMES_12(nv), wino_tile_13x##nv, wino_tile_14x##nv
#define WINO_NAMES_16(nv) WINO_NAMES_14(nv), wino_tile_15x##nv, wino_tile_16x##nv
#define WINO_EXPAND_(what, rows, nv) WINO_##what##_##rows(nv)
#define WINO_EXPAND(what, rows, nv) WINO_EXPAND_(what, rows, nv)

WINO_EXPAND(TILES, WINO_THIN_ROWS, 1)
WINO_EXPAND(TILES, WINO_ROWS, 2)
static wino_tile_fn *const wino_tiles[WINO_WIDE][WINO_THIN_ROWS] = { /* [nv - 1][rows - 1] */
    {WINO_EXPAND(NAMES, WINO_THIN_ROWS, 1)}, {WINO_EXPAND(NAMES, WINO_ROWS, 2)},
};

/* The next n floats of what is to be fetched; `idle` when there is nothing left. */
INLINE const float *wino_fetch(nn_ahead *f, int64_t n, const float *idle)
{
    while (f->n[0] <= 0 && f->n[1] > 0) f->p[0] = f->p[1], f->n[0] = f->n[1], f->n[1] = 0;
    if (f->n[0] <= 0) return idle;
    f->p[0] += n, f->n[0] -= n;
    return f->p[0] - n;
}

/* Tiles cut into pieces of at most `most` that differ by at most one: `larger` of `rows`, the others of one less. */
typedef struct { int64_t rows, larger; } wino_cut;
INLINE wino_cut wino_cut_of(int64_t tiles, int64_t most)
{
    int64_t pieces = (tiles + most - 1) / most, rows = (tiles + pieces - 1) / pieces;
    return (wino_cut){rows, tiles - pieces * (rows - 1)};
}

/* Up to so many floats of u, they stay in L2 and need not be fetched. */
#define WINO_SMALL 40000

/* m[point][tile][o] (+)= sum of v[point][tile][c] u[point][c][o]; m and v in blocks of 16 channels, u in panels. */
static void winograd_product(float *m, int64_t m_plane, int64_t m_block, const float *v, int64_t v_plane,
                             int64_t v_block, const float *u, int64_t u_plane, int64_t tiles, int64_t c, int64_t o,
                             int acc, const nn_ahead *ahead)
{
    const wino_cut cuts[2] = {wino_cut_of(tiles, WINO_ROWS), wino_cut_of(tiles, WINO_THIN_ROWS)};
    nn_ahead f = *ahead;
    int small = 36 * u_plane <= WINO_SMALL;
    for (int point = 0; point < 36; point++, m += m_plane, v += v_plane, u += u_plane) {
        const float *panel = u;
        for (int64_t j = 0; j < o;) {
            int64_t width = wino_panel(o - j);
            int thin = width == VL;
            int64_t rows = cuts[thin].rows, larger = cuts[thin].larger; /* divided once: for each tile it would show */
            wino_tile_fn *const *tile = wino_tiles[!thin] + rows - 1;
            const float *next = panel + width * c;
            for (int64_t i = 0; i < tiles; i += rows) {
                if (larger-- == 0) rows--, tile--;
                const float *far = wino_fetch(&f, small ? 16 * c : 8 * c, next), *near = small ? far + 8 * c : next;
                next += far == next ? 16 * c : 8 * c;
                (*tile)(m + wino_column(j, m_block) + 16 * i, m_block, v + 16 * i, v_block, panel, c, acc, near, far);
            }
            panel += width * c;
            j += width;
        }
    }
}

/* du[c][o] (+)= sum over tiles of v[tile][c] d[tile][o]: `rows` of c, nv vectors of o */
INLINE void wino_dw_tile(const int rows, const int nv, float *du, int64_t ld, const float *v, const float *d,
                         int64_t d_block, int64_t tiles, int acc, const float *far)
{
    vf s[16][WINO_WIDE];
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int j = 0; j < nv; j++) s[i][j] = vset(0);
    int64_t t = 0;
#define STEP(q)                                                                                                        \
    do {                                                                                                               \
        vf b[WINO_WIDE];                                                                                               \
        UNROLL for (int j = 0; j < nv; j++) b[j] = vload(d + wino_column(j * VL, d_block) + 16 * (q));                 \
        UNROLL for (int i = 0; i < rows; i++) vmuladd_row(vfrom_memory(rows, nv, i), nv, s[i], v + 16 * (q) + i, b);   \
    } while (0)
    for (; t + 2 <= tiles; t += 2, v += 32, d += 32, far += 32) {
        __builtin_prefetch(far, 0, 2);
        __builtin_prefetch(far + 16, 0, 2);
        STEP(0);
        STEP(1);
    }
    if (t < tiles) STEP(0);
#undef STEP
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int j = 0; j < nv; j++) {
            float *to = du + i * ld + j * VL;
            vstore(to, acc ? vload(to) + s[i][j] : s[i][j]);
        }
}

static void wino_dw_wide(float *du, int64_t ld, const float *v, const float *d, int64_t d_block, int64_t tiles, int acc,
                         const float *far)
{
    wino_dw_tile(WINO_DW_ROWS, WINO_WIDE, du, ld, v, d, d_block, tiles, acc, far);
}
static void wino_dw_thin(float *du, int64_t ld, const float *v, const float *d, int64_t d_block, int64_t tiles, int acc,
                         const float *far)
{
    wino_dw_tile(2 * WINO_DW_ROWS, 1, du, ld, v, d, d_block, tiles, acc, far);
}

/* du[point][c][o] (+)= sum over tiles of v[point][tile][c] d[point][tile][o]; v and d in blocks of 16 channels, du's
 * rows ld apart. Writes whole blocks of c and whole vectors of o. */
static void winograd_dw(float *du, int64_t du_plane, int64_t ld, const float *v, int64_t v_plane, int64_t v_block,
                        const float *d, int64_t d_plane, int64_t d_block, int64_t tiles, int64_t c, int64_t o, int acc,
                        const nn_ahead *ahead)
{
    nn_ahead f = *ahead;
    for (int point = 0; point < 36; point++, du += du_plane, v += v_plane, d += d_plane)
        for (int64_t j = 0; j < o;) {
            int64_t width = wino_panel(o - j);
            int thin = width == VL, rows = thin ? 2 * WINO_DW_ROWS : WINO_DW_ROWS;
            for (int64_t i = 0; i < c; i += rows)
                (thin ? wino_dw_thin : wino_dw_wide)(du + i * ld + j, ld, v + i / 16 * v_block + i % 16,
                                                     d + wino_column(j, d_block), d_block, tiles, acc,
                                                     wino_fetch(&f, 16 * tiles, v));
            j += width;
        }
}
