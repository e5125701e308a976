/* The multiplication of one block: c[m,n] = a[m,k] @ b[k,n], from register tiles. Axes m n k; see ../gemm.c.
 *
 * A tile is mr rows of nv vectors, held in registers while k runs; mr <= GEMM_MR and nv <= GEMM_NV are compile-time
 * constants, so every combination is one straight loop. a is read by scalar broadcast, b by whole vectors. The pointers
 * of a lie three rows apart, to keep the addresses within x86's addressing modes. k runs through stretches
 * (nn_stretch): a product has one, a convolution one for each place in its window.
 *
 * What a tile costs beside its multiply-adds decides its shape. With AVX-512, 8 x 3 needs 1.5 instructions for each
 * multiply-add, 8 x 2 needs 1.9: Intel's cores issue four in a cycle, for two multiply-adds, and half of that while the
 * other thread of the core is busy. Filling and emptying a tile takes about 110 cycles (Xeon, Cascade Lake), hence deep
 * blocks of k. While it multiplies, a tile fetches what comes next, a line every GEMM_PACE steps and a row of c now and
 * then: in one burst the same lines fill the core's line buffers and stop it. At 2048 on that Xeon, in one run's quiet
 * moments, share of the FMA peak: 75 % without, 80-81 % with the next tile's rows of c or the next panel of b, 85 %
 * with both. Every other instruction in that loop counts, even a jump that is never taken: they share ports with the
 * multiply-adds.
 */
/* A wider, flatter tile for columns that leave the other one half empty, where an instruction set has one. */
#ifndef GEMM_WIDE_NV
#define GEMM_WIDE_MR GEMM_MR
#define GEMM_WIDE_NV GEMM_NV
#endif
#define GEMM_MOST_NV (GEMM_WIDE_NV > GEMM_NV ? GEMM_WIDE_NV : GEMM_NV)

/* F(mr, nv) for every tile there is: GEMM_MR rows of up to GEMM_NV vectors, and GEMM_WIDE_MR rows of GEMM_WIDE_NV. Wide
 * shapes: those with up to GEMM_WIDE_MR rows. */
#define GEMM_ROWS_4(F, nv) F(1, nv) F(2, nv) F(3, nv) F(4, nv)
#define GEMM_ROWS_6(F, nv) GEMM_ROWS_4(F, nv) F(5, nv) F(6, nv)
#define GEMM_ROWS_8(F, nv) GEMM_ROWS_6(F, nv) F(7, nv) F(8, nv)
#define GEMM_ROWS_(mr, F, nv) GEMM_ROWS_##mr(F, nv)
#define GEMM_ROWS(mr, F, nv) GEMM_ROWS_(mr, F, nv)
#if GEMM_MOST_NV == 4
#define GEMM_COLUMNS(mr, F) GEMM_ROWS(mr, F, 1) GEMM_ROWS(mr, F, 2) GEMM_ROWS(mr, F, 3)
#define GEMM_TALL_SHAPES(F) GEMM_COLUMNS(GEMM_MR, F)
#define GEMM_SHAPES(F) GEMM_TALL_SHAPES(F) GEMM_ROWS(GEMM_WIDE_MR, F, 4)
#define GEMM_WIDE_SHAPES(F) GEMM_COLUMNS(GEMM_WIDE_MR, F) GEMM_ROWS(GEMM_WIDE_MR, F, 4)
#else
#define GEMM_TALL_SHAPES(F) GEMM_ROWS(GEMM_MR, F, 1) GEMM_ROWS(GEMM_MR, F, 2)
#define GEMM_SHAPES GEMM_TALL_SHAPES
#define GEMM_WIDE_SHAPES GEMM_SHAPES
#endif

#if VL == 16
#define GEMM_PACE 4
#define GEMM_PACE_LOOP UNROLL
#else
#define GEMM_PACE 16
#define GEMM_PACE_LOOP /* unrolled, the older cores could not keep it decoded */
#endif

/* How a lies: rows along k; rows side by side, with steps of k anywhere; or so, packed, with steps of k mr apart. */
enum { GEMM_ROW, GEMM_COL, GEMM_PACKED };

/* Whether row i's multiply-adds read a from memory: addresses without an index are all of a packed a, but those of
 * every third row of one along k, and none where steps of k lie anywhere. */
INLINE int gemm_from_memory(const int kind, const int mr, const int nv, const int i)
{
    if (kind == GEMM_PACKED) return vfrom_memory(mr, nv, i);
    return kind == GEMM_ROW && mr > 2 && (nv < 3 ? i % 3 == 0 : i == 0);
}

/* s[i][j] += a[i] b[j] for one k */
INLINE void gemm_step(const int kind, const int mr, const int nv, vf s[GEMM_MR][GEMM_MOST_NV], const float *a,
                      int64_t rs, const float *b)
{
    const float *a3 = a + 3 * rs, *a6 = a + 6 * rs;
    vf bp[GEMM_MOST_NV];
    UNROLL for (int j = 0; j < nv; j++) bp[j] = vload(b + j * VL);
    UNROLL for (int i = 0; i < mr; i++)
        vmuladd_row(gemm_from_memory(kind, mr, nv, i), nv, s[i],
                    i < 3 ? a + i * rs : i < 6 ? a3 + (i - 3) * rs : a6 + (i - 6) * rs, bp);
}

/* What those who come next will want. A tile cuts its k into as many parts as it has rows; in part r it fetches row r
 * of c, and a line every GEMM_PACE steps of k: from line + r * stride on, `step` floats further each time; or, if the
 * stride is 0, from where it was. A step of 32 is two lines: the processor brings the other half of 128 bytes by
 * itself. */
typedef struct {
    const float *c, *line;
    int64_t step, stride;
} gemm_ahead;

INLINE void gemm_fetch_row(const int nv, const float *c)
{
    UNROLL for (int j = 0; j < nv; j++) __builtin_prefetch(c + j * VL, 1, 3);
}

/* c (+)= s (+ bias); tail: columns of the last vector. */
INLINE void gemm_store(const int mr, const int nv, vf s[GEMM_MR][GEMM_MOST_NV], float *c, int64_t ldc,
                       const float *bias, int acc, int64_t tail)
{
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

INLINE void gemm_tile_body(const int kind, const int mr, const int nv, float *c, int64_t ldc, const float *a0,
                           int64_t rs, int64_t cs, const float *b0, int64_t ldb, const nn_stretch *x, int64_t stretches,
                           const float *bias, int acc, int64_t tail, gemm_ahead ahead)
{
    vf s[GEMM_MR][GEMM_MOST_NV];
    UNROLL for (int i = 0; i < mr; i++)
        UNROLL for (int j = 0; j < nv; j++) s[i][j] = vset(0);
    const int64_t step = ahead.step;
    int rows = mr; /* of c, still to be fetched */
    int64_t deep = stretches ? x->k / GEMM_PACE * stretches / mr : 0; /* of a part; stretches are about equal */
    int part = deep ? (int)deep : 1, until = 1;
    const int64_t jump = ahead.stride ? ahead.stride - part * step : 0;
    const float *line = ahead.line - jump;
    for (const nn_stretch *end = x + stretches; x < end; x++) {
        const float *a = a0 + x->a, *b = b0 + x->b * ldb;
        int groups = (int)(x->k / GEMM_PACE), left = (int)(x->k % GEMM_PACE);
        for (; groups; groups--, line += step) {
            if (__builtin_expect(!--until, 0)) {
                until = part;
                if (rows) gemm_fetch_row(nv, ahead.c), rows--, ahead.c += ldc, line += jump;
            }
            __builtin_prefetch(line, 0, 2);
            GEMM_PACE_LOOP for (int q = 0; q < GEMM_PACE; q++, a += cs, b += ldb) gemm_step(kind, mr, nv, s, a, rs, b);
        }
        for (; left; left--, a += cs, b += ldb) gemm_step(kind, mr, nv, s, a, rs, b);
    }
    gemm_store(mr, nv, s, c, ldc, bias, acc, tail);
}

typedef void gemm_tile_fn(float *c, int64_t ldc, const float *a, int64_t stride, const float *b, int64_t ldb,
                          const nn_stretch *x, int64_t stretches, const float *bias, int acc, int64_t tail,
                          gemm_ahead ahead);

#define GEMM_TILE(name, kind, mr, nv, rs, cs)                                                                          \
    static void gemm_##name##_##mr##x##nv(float *c, int64_t ldc, const float *a, int64_t stride, const float *b,       \
                                          int64_t ldb, const nn_stretch *x, int64_t stretches, const float *bias,      \
                                          int acc, int64_t tail, gemm_ahead ahead)                                     \
    {                                                                                                                  \
        (void)stride;                                                                                                  \
        gemm_tile_body(kind, mr, nv, c, ldc, a, rs, cs, b, ldb, x, stretches, bias, acc, tail, ahead);                 \
    }
#define GEMM_ROW_TILE(mr, nv) GEMM_TILE(row, GEMM_ROW, mr, nv, stride, 1)
#define GEMM_COL_TILE(mr, nv) GEMM_TILE(col, GEMM_COL, mr, nv, 1, stride)
#define GEMM_PACKED_TILE(mr, nv) GEMM_TILE(packed, GEMM_PACKED, mr, nv, 1, mr)
GEMM_SHAPES(GEMM_ROW_TILE) GEMM_SHAPES(GEMM_COL_TILE) GEMM_TALL_SHAPES(GEMM_PACKED_TILE)

static gemm_tile_fn *const gemm_tiles[GEMM_MR][3][GEMM_MOST_NV] = { /* [mr - 1][how a lies][nv - 1] */
#define GEMM_ENTRY(mr, nv) \
    [mr - 1][GEMM_ROW][nv - 1] = gemm_row_##mr##x##nv, [mr - 1][GEMM_COL][nv - 1] = gemm_col_##mr##x##nv,
    GEMM_SHAPES(GEMM_ENTRY)
#undef GEMM_ENTRY
#define GEMM_ENTRY(mr, nv) [mr - 1][GEMM_PACKED][nv - 1] = gemm_packed_##mr##x##nv,
    GEMM_TALL_SHAPES(GEMM_ENTRY)
#undef GEMM_ENTRY
};

#define GEMM_COPY_AHEAD 16 /* steps of k */

/* The first tiles to read a panel of b, or of a that is stored transposed, copy it to where the others find it packed:
 * by itself such a copy waits for memory. Element i, p of a lies at a + i*rs + p*cs; a_room and b_room: where to, or
 * null. */
INLINE void gemm_first_body(const int mr, const int nv, float *c, int64_t ldc, const float *a, int64_t rs, int64_t cs,
                            float *a_room, const float *b, int64_t ldb, float *b_room, const float *bias, int acc,
                            int64_t tail, int64_t k, gemm_ahead ahead)
{
    vf s[GEMM_MR][GEMM_MOST_NV];
    UNROLL for (int i = 0; i < mr; i++)
        UNROLL for (int j = 0; j < nv; j++) s[i][j] = vset(0);
    for (int64_t p = 0; p < k; p++, a += cs, b += ldb) {
        if (p % GEMM_PACE == 0) {
            if (p < mr * GEMM_PACE) gemm_fetch_row(nv, ahead.c + p / GEMM_PACE * ldc);
            __builtin_prefetch(ahead.line, 0, 2);
            ahead.line += ahead.step;
        }
        if (b_room) {
            UNROLL for (int j = 0; j < nv; j++) __builtin_prefetch(b + GEMM_COPY_AHEAD * ldb + j * VL);
            UNROLL for (int j = 0; j < nv; j++) vstore(b_room + j * VL, vload(b + j * VL));
            b_room += nv * VL;
        }
        if (a_room) {
            __builtin_prefetch(a + GEMM_COPY_AHEAD * cs);
            memcpy(a_room, a, mr * sizeof(float));
            a_room += mr;
        }
        gemm_step(GEMM_COL, mr, nv, s, a, rs, b);
    }
    gemm_store(mr, nv, s, c, ldc, bias, acc, tail);
}

typedef void gemm_first_fn(float *c, int64_t ldc, const float *a, int64_t rs, int64_t cs, float *a_room, const float *b,
                           int64_t ldb, float *b_room, const float *bias, int acc, int64_t tail, int64_t k,
                           gemm_ahead ahead);
#define GEMM_FIRST(mr, nv)                                                                                             \
    static void gemm_first_##mr##x##nv(float *c, int64_t ldc, const float *a, int64_t rs, int64_t cs, float *a_room,   \
                                       const float *b, int64_t ldb, float *b_room, const float *bias, int acc,         \
                                       int64_t tail, int64_t k, gemm_ahead ahead)                                     \
    { gemm_first_body(mr, nv, c, ldc, a, rs, cs, a_room, b, ldb, b_room, bias, acc, tail, k, ahead); }
GEMM_SHAPES(GEMM_FIRST)

static gemm_first_fn *const gemm_firsts[GEMM_MR][GEMM_MOST_NV] = {
#define GEMM_ENTRY(mr, nv) [mr - 1][nv - 1] = gemm_first_##mr##x##nv,
    GEMM_SHAPES(GEMM_ENTRY)
#undef GEMM_ENTRY
};

/* What is left is cut into pieces of at most `most`, itself at most 8, that differ by at most one: two tiles of 5 rows
 * beat one of 8 and one of 2. The size of the next piece; far from the end that is `most`, and near it, numbers are
 * small: they are divided by a table, as a division takes 26 cycles, half a small tile. */
INLINE int gemm_piece(int64_t left, const int most)
{
    static const uint32_t reciprocal[] = {0, 65536, 32768, 21846, 16384, 13108, 10923, 9363, 8192}; /* 2^16 / i, up */
    if (left <= most) return (int)left;
    if (left > most * (most - 1)) return most;
    uint32_t n = (uint32_t)left, pieces = (n + most - 1) / most;
    return (int)((n + pieces - 1) * reciprocal[pieces] >> 16);
}
INLINE int gemm_tile_rows(int64_t i, int64_t m, int wide)
{
    return wide ? gemm_piece(m - i, GEMM_WIDE_MR) : gemm_piece(m - i, GEMM_MR);
}
/* The same for the columns of a panel, in vectors. */
INLINE int gemm_panel_vectors(int64_t j, int64_t n, int wide)
{
    int64_t left = (n - j + VL - 1) / VL;
    return wide ? gemm_piece(left, GEMM_WIDE_NV) : gemm_piece(left, GEMM_NV);
}

/* Whether wide tiles suit m rows and n columns better: a tile of r rows and v vectors loads 1/r + 1/v values for each
 * multiply-add, and rows and vectors are cut into even pieces. */
static int gemm_wide(int64_t rows, int64_t n)
{
    if (n <= GEMM_NV * VL || rows < 1 || GEMM_WIDE_NV == GEMM_NV) return 0;
    uint32_t m = rows < 1 << 20 ? (uint32_t)rows : 1 << 20, v = (uint32_t)(n < 1 << 20 ? n : 1 << 20);
    v = (v + VL - 1) / VL;
    uint64_t tall = (uint64_t)((m + GEMM_MR - 1) / GEMM_MR) * v + (uint64_t)((v + GEMM_NV - 1) / GEMM_NV) * m;
    uint64_t wide = (uint64_t)((m + GEMM_WIDE_MR - 1) / GEMM_WIDE_MR) * v +
                    (uint64_t)((v + GEMM_WIDE_NV - 1) / GEMM_WIDE_NV) * m;
    return 100 * wide < 99 * tall;
}

/* Panels: to[panel][k][its vectors] = b[k,n]. The lanes beyond n in the last vector hold what follows in memory. Eight
 * rows at a time, so that each is read from left to right: down one panel, every row would be a new page. */
static void gemm_pack_b(float *to, const float *b, int64_t ldb, int64_t k, int64_t n, int wide)
{
    for (int64_t p0 = 0; p0 < k; p0 += 8)
        for (int64_t j = 0; j < n;) {
            int nv = gemm_panel_vectors(j, n, wide), width = nv * VL;
            const float *bp = b + p0 * ldb + j;
            float *panel = to + j * k + p0 * width;
            int64_t rows = k - p0 < 8 ? k - p0 : 8;
            for (int64_t p = 0; p < rows; p++, bp += ldb, panel += width)
                for (int v = 0; v < nv; v++) vstore(panel + v * VL, vload(bp + v * VL));
            j += width;
        }
}

/* The same from b stored transposed: to[panel][k][its vectors] = b[n,k]. Rows beyond n count as zeros. */
static void gemm_pack_bt(float *to, const float *b, int64_t ldb, int64_t k, int64_t n, int wide)
{
    for (int64_t j = 0; j < n;) {
        int nv = gemm_panel_vectors(j, n, wide), width = nv * VL;
        float *panel = to + j * k;
        for (int v = 0; v < nv; v++, panel += VL) {
            const float *bj = b + (j + v * VL) * ldb;
            int64_t rows = n - j - v * VL < VL ? n - j - v * VL : VL, p = 0;
            vf r[VL];
            for (; p + VL <= k && rows == VL; p += VL) {
                UNROLL for (int i = 0; i < VL; i++) r[i] = vload(bj + i * ldb + p);
                vtranspose(r);
                UNROLL for (int i = 0; i < VL; i++) vstore(panel + (p + i) * width, r[i]);
            }
            if (k == 2 && ldb == 2 && rows == VL) { /* the gradient of a layer of two outputs */
                r[0] = vload(bj), r[1] = vload(bj + VL);
                vdeinterleave(r, 2);
                vstore(panel, r[0]), vstore(panel + width, r[1]);
                continue;
            }
            for (; p < k; p++)
                for (int64_t i = 0; i < VL; i++) panel[p * width + i] = i < rows ? bj[i * ldb + p] : 0;
        }
        j += width;
    }
}

/* One tile: to[k][mr] = a[mr,k], VL columns at a time. Where mr is no power of two, a column is stored as a whole
 * vector, whose end the next one overwrites; `to` has room for the last. */
INLINE void gemm_pack_tile(const int interleaved, float *to, const float *a, int64_t lda, int mr, int64_t k)
{
    const int rows = interleaved ? GEMM_MR : VL;
    const int64_t step = interleaved ? VL : mr;
    int64_t p = 0;
    for (; p + VL <= k && mr <= VL; p += VL) {
        vf r[VL];
        UNROLL for (int i = 0; i < rows; i++) {
            r[i] = i < mr ? vload(a + i * lda + p) : vset(0);
            __builtin_prefetch(a + (i + mr) * lda + p);
        }
        vinterleave(r, rows);
        UNROLL for (int i = 0; i < rows; i++, to += step) vstore(to, r[i]);
    }
    for (; p < k; p++)
        for (int i = 0; i < mr; i++) *to++ = a[i * lda + p];
}

/* Tiles of rows: to[tile][k][rows of the tile] = a[m,k]. */
static void gemm_pack_a(float *to, const float *a, int64_t lda, int64_t m, int64_t k)
{
    const int whole = GEMM_MR <= VL && (GEMM_MR & (GEMM_MR - 1)) == 0;
    for (int64_t i = 0; i < m;) {
        int mr = gemm_tile_rows(i, m, 0);
        if (whole && mr == GEMM_MR) gemm_pack_tile(1, to + i * k, a + i * lda, lda, mr, k);
        else gemm_pack_tile(0, to + i * k, a + i * lda, lda, mr, k);
        i += mr;
    }
}

/* The panel of b that is multiplied, k rows of nv vectors, and the next one, or null. As stored: packed if ldb is 0,
 * with rows along k if tb. */
typedef struct {
    const float *panel, *next;
    int64_t ldb, k;
    int tb, nv;
} gemm_panels;

/* What tile t fetches of the next panel: eight rows along k; or, if it lies in rows of vectors, half of these for a
 * quarter of its depth. */
INLINE gemm_ahead gemm_panel_ahead(const gemm_panels *b, int64_t t, const float *next_c)
{
    const gemm_ahead nothing = {next_c, b->panel, 0, 0};
    const int64_t stride = b->ldb ? b->ldb : b->k;
    if (!b->next || t >= 8) return nothing;
    if (b->ldb && !b->tb)
        return (gemm_ahead){next_c, b->next + t / 2 * b->k / 4 * stride + t % 2 * 32, stride, b->k / 32 * stride};
    return 8 * t >= b->nv * VL ? nothing : (gemm_ahead){next_c, b->next + 8 * t * stride, 32, stride};
}

/* c[m,n] (+)= a @ b (+ bias). Row i of a lies at a + i*rs, its elements cs apart; one of rs and cs is 1. b is packed
 * (ldb == 0: panel after panel, k rows of as many vectors as the panel is wide), or its rows lie ldb apart, [n,k] if
 * tb.
 *
 * a_room: where a is packed, or null: tile after tile, k columns of as many floats as the tile has rows. b_room: where
 * b is packed, panel by panel as each is used, or null; panels lie room_step floats apart for each column: 0 or k.
 * wide: by wide tiles, for an a that is not packed. */
static void gemm_block(float *c, int64_t ldc, const float *a, int64_t rs, int64_t cs, float *a_room, const float *b,
                       int64_t ldb, int tb, float *b_room, int64_t room_step, const float *bias, int acc, int64_t m,
                       int64_t n, int64_t k, int wide)
{
    const nn_stretch all = {0, 0, k};
    const int64_t across = ldb == 0 ? k : tb ? ldb : 1; /* from a column of b to the next */
    if (a_room && cs == 1) gemm_pack_a(a_room, a, rs, m, k);
    for (int64_t j = 0; j < n;) {
        int nv = gemm_panel_vectors(j, n, wide), width = nv * VL;
        int64_t columns = n - j < width ? n - j : width, tail = columns - (nv - 1) * VL;
        gemm_panels source = {b + j * across, j + width < n ? b + (j + width) * across : NULL, ldb, k, tb, nv};
        float *room = b_room ? b_room + j * room_step : NULL;
        if (room && tb) gemm_pack_bt(room, source.panel, ldb, k, columns, wide);
        for (int64_t i = 0, t = 0; i < m; t++) {
            int mr = gemm_tile_rows(i, m, wide);
            int copies_a = a_room && cs != 1 && j == 0, copies_b = room && !tb && i == 0;
            const float *ai = a + i * rs, *bj = room && !copies_b ? room : source.panel;
            int64_t rsi = rs, csi = cs, ldbj = ldb && bj != room ? ldb : width;
            if (a_room && !copies_a) ai = a_room + i * k, rsi = 1, csi = mr;
            float *cij = c + i * ldc + j, *next_c = i + mr < m ? cij + mr * ldc : source.next ? c + j + width : cij;
            const float *bias_j = bias ? bias + j : NULL;
            gemm_ahead ahead = gemm_panel_ahead(&source, t, next_c);
            if (csi == 1 && j == 0) /* a in place comes from memory while the first panel is multiplied */
                ahead = (gemm_ahead){next_c, ai + mr * rs, 32, rs};
            if (copies_a || copies_b)
                gemm_firsts[mr - 1][nv - 1](cij, ldc, ai, rsi, csi, copies_a ? a_room + i * k : NULL, bj, ldbj,
                                            copies_b ? room : NULL, bias_j, acc, tail, k, ahead);
            else
                gemm_tiles[mr - 1][a_room ? GEMM_PACKED : csi == 1 ? GEMM_ROW : GEMM_COL][nv - 1](
                    cij, ldc, ai, csi == 1 ? rsi : csi, bj, ldbj, &all, 1, bias_j, acc, tail, ahead);
            i += mr;
        }
        j += width;
    }
}

/* ---- small products ----
 *
 * Where what surrounds the tiles would cost as much as they do: one block, one stretch, nothing fetched ahead, which
 * spares a tile about 35 of its 100 cycles (Cascade Lake). Element i, p of a lies at a + i*rs + p*cs. */
INLINE void gemm_small_body(const int mr, const int nv, float *c, int64_t ldc, const float *a, int64_t rs, int64_t cs,
                            const float *b, int64_t ldb, const float *bias, int acc, int64_t tail, int64_t k)
{
    vf s[GEMM_MR][GEMM_MOST_NV];
    UNROLL for (int i = 0; i < mr; i++)
        UNROLL for (int j = 0; j < nv; j++) s[i][j] = vset(0);
    int64_t p = 0;
    if (VL > 4) /* SSE2 has no room for what is loaded ahead */
        for (; p + 4 <= k; p += 4)
            UNROLL for (int q = 0; q < 4; q++, a += cs, b += ldb) gemm_step(GEMM_ROW, mr, nv, s, a, rs, b);
    for (; p < k; p++, a += cs, b += ldb) gemm_step(GEMM_ROW, mr, nv, s, a, rs, b);
    gemm_store(mr, nv, s, c, ldc, bias, acc, tail);
}

typedef void gemm_small_fn(float *c, int64_t ldc, const float *a, int64_t rs, int64_t cs, const float *b, int64_t ldb,
                           const float *bias, int acc, int64_t tail, int64_t k);
#define GEMM_SMALL(mr, nv)                                                                                             \
    static void gemm_small_##mr##x##nv(float *c, int64_t ldc, const float *a, int64_t rs, int64_t cs, const float *b,  \
                                       int64_t ldb, const float *bias, int acc, int64_t tail, int64_t k)               \
    { gemm_small_body(mr, nv, c, ldc, a, rs, cs, b, ldb, bias, acc, tail, k); }
GEMM_WIDE_SHAPES(GEMM_SMALL)

static gemm_small_fn *const gemm_smalls[GEMM_WIDE_MR][GEMM_MOST_NV] = {
#define GEMM_ENTRY(mr, nv) [mr - 1][nv - 1] = gemm_small_##mr##x##nv,
    GEMM_WIDE_SHAPES(GEMM_ENTRY)
#undef GEMM_ENTRY
};

/* c[m,n] (+)= a @ b (+ bias). b in place, its rows ldb apart; or stored transposed, and packed into `room`, for k rows
 * of its panels. */
static void gemm_small(float *c, int64_t ldc, const float *a, int64_t rs, int64_t cs, const float *b, int64_t ldb,
                       float *room, const float *bias, int acc, int64_t m, int64_t n, int64_t k)
{
    if (room) gemm_pack_bt(room, b, ldb, k, n, 1);
    for (int64_t j = 0; j < n;) {
        int nv = gemm_panel_vectors(j, n, 1);
        int64_t width = nv * VL, tail = n - j < width ? n - j - (width - VL) : VL;
        for (int64_t i = 0; i < m;) {
            int mr = gemm_tile_rows(i, m, 1);
            gemm_smalls[mr - 1][nv - 1](c + i * ldc + j, ldc, a + i * rs, rs, cs, room ? room + j * k : b + j,
                                        room ? width : ldb, bias ? bias + j : 0, acc, tail, k);
            i += mr;
        }
        j += width;
    }
}

/* A c of a few columns, [m,n] (+)= a[m,k] @ bt[n,k]^T (+ bias): sums of products along k, whole vectors of both, where
 * a tile would leave most lanes of b's vectors empty. VL sums at a time, of some rows by some columns, reduced
 * together. */

#define GEMM_DOTS_MOST (VL == 16 ? 5 : VL == 8 ? 4 : 2) /* columns of a block of sums */

/* VL vectors -> the sums of each, in their order. */
INLINE vf gemm_sums(vf r[VL])
{
    const vi iota = V_IOTA, low = (iota >> 1) + (iota & 1) * VL, high = low + VL / 2;
    for (int half = VL / 2; half; half /= 2)
        UNROLL for (int i = 0; i < half; i++)
            r[i] = vshuffle(r[i], r[i + half], low) + vshuffle(r[i], r[i + half], high);
    return r[0];
}

INLINE void gemm_dot_step(const int rows, const int columns, vf s[VL], const float *const *a, const float *b,
                          int64_t ldb, int64_t left)
{
    vf bp[VL];
    UNROLL for (int j = 0; j < columns; j++) bp[j] = left < VL ? vkeep(vload(b + j * ldb), left) : vload(b + j * ldb);
    UNROLL for (int i = 0; i < rows; i++) {
        vf ai = left < VL ? vkeep(vload(a[i]), left) : vload(a[i]);
        UNROLL for (int j = 0; j < columns; j++) s[i * columns + j] += ai * bp[j];
    }
}

/* `columns` columns of c. */
INLINE void gemm_dots_body(const int columns, float *c, int64_t ldc, const float *a, int64_t lda, const float *bt,
                           int64_t ldb, const float *bias, int acc, int64_t m, int64_t k)
{
    const int rows = columns == 3 ? VL / 4 : VL / columns;
    float block[VL] = {0};
    for (int i = 0; bias && i < rows * columns; i++) block[i] = bias[i % columns];
    const vf start = vload(block);
    for (int64_t i = 0; i < m; i += rows) {
        int64_t down = m - i < rows ? m - i : rows, p = 0;
        const float *ai[VL]; /* beyond the edge: the last one again */
        UNROLL for (int r = 0; r < rows; r++) ai[r] = a + (i + (r < down ? r : down - 1)) * lda;
        vf s[VL];
        UNROLL for (int r = 0; r < VL; r++) s[r] = vset(0);
        for (; p + VL <= k; p += VL) {
            gemm_dot_step(rows, columns, s, ai, bt + p, ldb, VL);
            UNROLL for (int r = 0; r < rows; r++) ai[r] += VL;
        }
        if (p < k) gemm_dot_step(rows, columns, s, ai, bt + p, ldb, k - p);
        float *to = c + i * ldc;
        for (int64_t r = 0; acc && r < down; r++) memcpy(block + r * columns, to + r * ldc, columns * sizeof *to);
        vstore(block, gemm_sums(s) + (acc ? vload(block) : start));
        for (int64_t r = 0; r < down; r++) memcpy(to + r * ldc, block + r * columns, columns * sizeof *to);
    }
}
static void gemm_dots(float *c, int64_t ldc, const float *a, int64_t lda, const float *bt, int64_t ldb,
                      const float *bias, int acc, int64_t m, int64_t n, int64_t k)
{
    for (int64_t j = 0; j < n;) {
        int columns = gemm_piece(n - j, GEMM_DOTS_MOST);
        const float *bj = bt + j * ldb, *bias_j = bias ? bias + j : NULL;
        switch (columns) {
        case 1: gemm_dots_body(1, c + j, ldc, a, lda, bj, ldb, bias_j, acc, m, k); break;
        case 2: gemm_dots_body(2, c + j, ldc, a, lda, bj, ldb, bias_j, acc, m, k); break;
#if VL > 4
        case 3: gemm_dots_body(3, c + j, ldc, a, lda, bj, ldb, bias_j, acc, m, k); break;
        case 4: gemm_dots_body(4, c + j, ldc, a, lda, bj, ldb, bias_j, acc, m, k); break;
#endif
#if VL > 8
        case 5: gemm_dots_body(5, c + j, ldc, a, lda, bj, ldb, bias_j, acc, m, k); break;
#endif
        }
        j += columns;
    }
}
