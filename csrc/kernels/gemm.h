/* The multiplication of one block: c[m,n] = a[m,k] @ b[k,n], from register tiles. Axes m n k; see ../gemm.c.
 *
 * A tile is mr rows of nv vectors, held in registers while k runs; mr <= GEMM_MR and nv <= GEMM_NV are compile-time
 * constants, so every combination is one straight loop. a is read by scalar broadcast, b by whole vectors. The
 * pointers of a advance together: three of them, three rows apart, keep the addresses within x86's addressing modes.
 * On a Zen 5 at 4.2 GHz every tile from 8 x 2 to 14 x 2 and 6 x 4 gives 97-100 % of the FMA peak while its data are in L1.
 * 8 x 2 loses least beyond: its rows of a leave room for b's panel there.
 */
INLINE void gemm_tile_body(const int mr, const int nv, float *c, int64_t ldc, const float *a, int64_t rs, int64_t cs,
                           const float *b, int64_t ldb, const float *bias, int acc, int64_t tail, int64_t k)
{
    vf s[GEMM_MR][GEMM_NV];
    UNROLL for (int i = 0; i < mr; i++) {
        UNROLL for (int j = 0; j < nv; j++) s[i][j] = vset(0);
        __builtin_prefetch(c + i * ldc, 1);
        if (nv > 1 && VL > 8) __builtin_prefetch(c + i * ldc + (nv - 1) * VL, 1);
    }
    const float *a0 = a, *a3 = a + 3 * rs, *a6 = a + 6 * rs;
    for (int64_t p = 0; p < k; p++) {
        vf bp[GEMM_NV];
        UNROLL for (int j = 0; j < nv; j++) bp[j] = vload(b + j * VL);
        UNROLL for (int i = 0; i < mr; i++) {
            const float *ai = i < 3 ? a0 + i * rs : i < 6 ? a3 + (i - 3) * rs : a6 + (i - 6) * rs;
            vf aip = vset(*ai);
            UNROLL for (int j = 0; j < nv; j++) s[i][j] += aip * bp[j];
        }
        a0 += cs; a3 += cs; a6 += cs;
        b += ldb;
    }
    if (acc)
        UNROLL for (int i = 0; i < mr; i++)
            UNROLL for (int j = 0; j < nv; j++) s[i][j] += vload(c + i * ldc + j * VL);
    else if (bias)
        UNROLL for (int j = 0; j < nv; j++) {
            vf bj = vload(bias + j * VL);
            UNROLL for (int i = 0; i < mr; i++) s[i][j] += bj;
        }
    if (tail == VL)
        UNROLL for (int i = 0; i < mr; i++)
            UNROLL for (int j = 0; j < nv; j++) vstore(c + i * ldc + j * VL, s[i][j]);
    else
        UNROLL for (int i = 0; i < mr; i++) {
            UNROLL for (int j = 0; j < nv - 1; j++) vstore(c + i * ldc + j * VL, s[i][j]);
            vstore_n(c + i * ldc + (nv - 1) * VL, s[i][nv - 1], tail);
        }
}

typedef void gemm_tile_fn(float *c, int64_t ldc, const float *a, int64_t stride, const float *b, int64_t ldb,
                          const float *bias, int acc, int64_t tail, int64_t k);

/* a with contiguous k (row) and a with contiguous m (col: a transposed, or packed). */
#define GEMM_TILE(mr, nv)                                                                                              \
    static void gemm_row_##mr##x##nv(float *c, int64_t ldc, const float *a, int64_t rs, const float *b, int64_t ldb,   \
                                     const float *bias, int acc, int64_t tail, int64_t k)                              \
    { gemm_tile_body(mr, nv, c, ldc, a, rs, 1, b, ldb, bias, acc, tail, k); }                                          \
    static void gemm_col_##mr##x##nv(float *c, int64_t ldc, const float *a, int64_t cs, const float *b, int64_t ldb,   \
                                     const float *bias, int acc, int64_t tail, int64_t k)                              \
    { gemm_tile_body(mr, nv, c, ldc, a, 1, cs, b, ldb, bias, acc, tail, k); }
#define GEMM_TILES(mr) GEMM_TILE(mr, 1) GEMM_TILE(mr, 2)
#define GEMM_ENTRY(mr) {{gemm_row_##mr##x1, gemm_row_##mr##x2}, {gemm_col_##mr##x1, gemm_col_##mr##x2}}

GEMM_TILES(1) GEMM_TILES(2) GEMM_TILES(3) GEMM_TILES(4)
#if GEMM_MR > 4
GEMM_TILES(5) GEMM_TILES(6)
#endif
#if GEMM_MR > 6
GEMM_TILES(7) GEMM_TILES(8)
#endif

static gemm_tile_fn *const gemm_tiles[GEMM_MR][2][2] = { /* [mr - 1][a has contiguous m][nv - 1] */
    GEMM_ENTRY(1), GEMM_ENTRY(2), GEMM_ENTRY(3), GEMM_ENTRY(4),
#if GEMM_MR > 4
    GEMM_ENTRY(5), GEMM_ENTRY(6),
#endif
#if GEMM_MR > 6
    GEMM_ENTRY(7), GEMM_ENTRY(8),
#endif
};

/* Rows from i on are cut into tiles that differ by at most one row: two tiles of 5 beat one of 8 and one of 2. */
INLINE int gemm_tile_rows(int64_t i, int64_t m)
{
    int64_t tiles = (m - i + GEMM_MR - 1) / GEMM_MR;
    return (int)((m - i + tiles - 1) / tiles);
}

/* c[m,n] (+)= a @ b (+ bias). Row i of a lies at a + i*rs, its elements cs apart; one of rs and cs is 1, or a is packed
 * (cs == 0: tile after tile, k columns of as many floats as the tile has rows). Panel j of b, nr columns wide, lies at
 * b + j*panel, its rows ldb apart. */
static void gemm_block(float *c, int64_t ldc, const float *a, int64_t rs, int64_t cs, const float *b, int64_t ldb,
                       int64_t panel, const float *bias, int acc, int64_t m, int64_t n, int64_t k)
{
    const int nr = GEMM_NV * VL;
    for (int64_t j = 0; j < n; j += nr, b += panel) {
        int64_t width = n - j < nr ? n - j : nr;
        int nv = (int)((width + VL - 1) / VL);
        int64_t tail = width - (nv - 1) * VL;
        const float *bias_j = bias ? bias + j : 0;
        for (int64_t i = 0; i < m;) {
            int mr = gemm_tile_rows(i, m);
            float *cij = c + i * ldc + j;
            if (j == 0 && cs == 1) /* the next rows of a, which come from memory for the first panel */
                for (int r = 0; r < mr && i + mr + r < m; r++)
                    for (int64_t p = 0; p < k; p += 16) __builtin_prefetch(a + (i + mr + r) * rs + p);
            if (cs == 0)
                gemm_tiles[mr - 1][1][nv - 1](cij, ldc, a + i * k, mr, b, ldb, bias_j, acc, tail, k);
            else if (cs == 1)
                gemm_tiles[mr - 1][0][nv - 1](cij, ldc, a + i * rs, rs, b, ldb, bias_j, acc, tail, k);
            else
                gemm_tiles[mr - 1][1][nv - 1](cij, ldc, a + i, cs, b, ldb, bias_j, acc, tail, k);
            i += mr;
        }
    }
}

/* Panels of nr columns: to[n/nr][k][nr] = b[k,n]. The lanes beyond n in the last panel hold what follows in memory. Eight
 * rows at a time, so that each is read from left to right: down one panel, every row would be a new page. */
static void gemm_pack_b(float *to, const float *b, int64_t ldb, int64_t k, int64_t n)
{
    const int nr = GEMM_NV * VL;
    for (int64_t p0 = 0; p0 < k; p0 += 8)
        for (int64_t j = 0; j < n; j += nr) {
            const float *bp = b + p0 * ldb + j;
            float *panel = to + j * k + p0 * nr;
            int64_t rows = k - p0 < 8 ? k - p0 : 8;
            for (int64_t p = 0; p < rows; p++, bp += ldb, panel += nr)
                UNROLL for (int v = 0; v < GEMM_NV; v++)
                    if (j + v * VL < n) vstore(panel + v * VL, vload(bp + v * VL));
        }
}

/* The same from b stored transposed: to[n/nr][k][nr] = b[n,k]. */
static void gemm_pack_bt(float *to, const float *b, int64_t ldb, int64_t k, int64_t n)
{
    const int nr = GEMM_NV * VL;
    for (int64_t j = 0; j < n; j += nr, to += k * nr)
        for (int v = 0; v < GEMM_NV && j + v * VL < n; v++) {
            const float *bj = b + (j + v * VL) * ldb;
            int64_t rows = n - j - v * VL < VL ? n - j - v * VL : VL, p = 0;
            for (; p + VL <= k && rows == VL; p += VL) {
                vf r[VL];
                UNROLL for (int i = 0; i < VL; i++) r[i] = vload(bj + i * ldb + p);
                vtranspose(r);
                UNROLL for (int i = 0; i < VL; i++) vstore(to + (p + i) * nr + v * VL, r[i]);
            }
            for (; p < k; p++)
                for (int64_t i = 0; i < VL; i++) to[p * nr + v * VL + i] = i < rows ? bj[i * ldb + p] : 0;
        }
}

/* Tiles of rows: to[tile][k][rows of the tile] = a[m,k]. */
static void gemm_pack_a(float *to, const float *a, int64_t lda, int64_t m, int64_t k)
{
    for (int64_t i = 0; i < m;) {
        int mr = gemm_tile_rows(i, m);
        int64_t p = 0;
#if GEMM_MR <= VL && (GEMM_MR & (GEMM_MR - 1)) == 0
        for (; p + VL <= k && mr == GEMM_MR; p += VL) {
            vf r[GEMM_MR];
            UNROLL for (int j = 0; j < GEMM_MR; j++) r[j] = vload(a + (i + j) * lda + p);
            vinterleave(r, GEMM_MR);
            UNROLL for (int j = 0; j < GEMM_MR; j++, to += VL) vstore(to, r[j]);
        }
#endif
        for (; p < k; p++)
            for (int r = 0; r < mr; r++) *to++ = a[(i + r) * lda + p];
        i += mr;
    }
}

/* The same from a stored transposed, a[k,m]; eight rows at a time, as in gemm_pack_b. */
static void gemm_pack_at(float *to, const float *a, int64_t lda, int64_t m, int64_t k)
{
    for (int64_t p0 = 0; p0 < k; p0 += 8)
        for (int64_t i = 0; i < m;) {
            int mr = gemm_tile_rows(i, m);
            int64_t end = p0 + 8 < k ? p0 + 8 : k;
            float *tile = to + i * k + p0 * mr;
            if (mr == GEMM_MR)
                for (int64_t p = p0; p < end; p++, tile += GEMM_MR) memcpy(tile, a + p * lda + i, GEMM_MR * sizeof(float));
            else
                for (int64_t p = p0; p < end; p++, tile += mr) memcpy(tile, a + p * lda + i, (size_t)mr * sizeof(float));
            i += mr;
        }
}
