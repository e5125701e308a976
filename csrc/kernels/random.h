/* Random numbers: Philox4x32-10 (Salmon, Moraes, Dror and Shaw, 2011), a block cipher of a counter. Key: the seed. Counter:
 * the number of a block and the number of the call, 64 bits each. So every element of every call has its own number, the
 * same for all instruction sets and however the work is cut.
 *
 * A block gives four words. Elements are in groups of 64 = 16 blocks x 4 words: element 64 g + 16 j + i is word j of block
 * 16 g + i. Vectors of 4, 8 and 16 lanes all run along i, so nothing is ever shuffled.
 */
#define RANDOM_GROUP 64

/* One block in each lane's lower half. The words c[1] and c[3] may carry anything in the upper half. */
INLINE void philox(vul c[4], uint64_t seed)
{
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    UNROLL for (int i = 0; i < 10; i++) {
        vul p0 = vmul32(vulset(0xD2511F53), c[0]), p1 = vmul32(vulset(0xCD9E8D57), c[2]);
        c[0] = (p1 >> 32) ^ c[1] ^ vulset(k0);
        c[1] = p1;
        c[2] = (p0 >> 32) ^ c[3] ^ vulset(k1);
        c[3] = p0;
        k0 += 0x9E3779B9;
        k1 += 0xBB67AE85;
    }
}

/* The 64 words of a group. */
INLINE void random_group(uint32_t w[RANDOM_GROUP], uint64_t seed, uint64_t call, uint64_t group)
{
    const vul lanes = VUL_IOTA;
    for (int i = 0; i < 16; i += VL) {
        vul even[4], odd[4];
        even[0] = vulset(16 * group + i) + 2 * lanes;
        even[1] = vulset((16 * group) >> 32);
        even[2] = vulset(call);
        even[3] = vulset(call >> 32);
        memcpy(odd, even, sizeof odd);
        odd[0] += 1;
        philox(even, seed);
        philox(odd, seed);
        UNROLL for (int j = 0; j < 4; j++)
            vstore((float *)w + 16 * j + i, (vf)((even[j] & 0xffffffff) | (odd[j] << 32)));
    }
}

static void random_words(uint32_t *w, uint64_t seed, uint64_t call, int64_t first, int64_t n)
{
    uint32_t t[RANDOM_GROUP];
    for (int64_t i = 0; i < n; i += RANDOM_GROUP) {
        random_group(t, seed, call, (uint64_t)(first + i) / RANDOM_GROUP);
        memcpy(w + i, t, sizeof *t * (n - i < RANDOM_GROUP ? n - i : RANDOM_GROUP));
    }
}

/* y = scale x where the element's word is at least `dropped`, else 0 x. */
static void random_dropout(float *y, const float *x, float scale, uint32_t dropped, uint64_t seed, uint64_t call,
                           int64_t first, int64_t n)
{
    const vi sign = viset(INT32_MIN), least = viset((int32_t)dropped) ^ sign;
    uint32_t t[RANDOM_GROUP];
    for (int64_t i = 0; i < n; i += RANDOM_GROUP) {
        random_group(t, seed, call, (uint64_t)(first + i) / RANDOM_GROUP);
        for (int64_t j = 0; j < RANDOM_GROUP && i + j < n; j += VL) {
            vi keep = (viload((int32_t *)t + j) ^ sign) >= least;
            vf r = vload(x + i + j) * vsel(keep, vset(scale), vset(0));
            if (i + j + VL <= n) vstore(y + i + j, r);
            else vstore_n(y + i + j, r, n - i - j);
        }
    }
}

/* y = low + range u, u a multiple of 2^-24 in [0, 1), at most `last`. */
static void random_uniform(float *y, float low, float range, float last, uint64_t seed, uint64_t call, int64_t first,
                           int64_t n)
{
    uint32_t t[RANDOM_GROUP];
    for (int64_t i = 0; i < n; i += RANDOM_GROUP) {
        random_group(t, seed, call, (uint64_t)(first + i) / RANDOM_GROUP);
        for (int64_t j = 0; j < RANDOM_GROUP && i + j < n; j += VL) {
            vf u = vfromi((vi)((vu)viload((int32_t *)t + j) >> 8)) * vset(0x1p-24f);
            vf r = vatmost(vset(low) + vrounded(vset(range) * u), last);
            if (i + j + VL <= n) vstore(y + i + j, r);
            else vstore_n(y + i + j, r, n - i - j);
        }
    }
}

/* Box and Muller (1958): two words give two numbers. The radius comes from 31 bits, so |y - mean| goes to 6.66 deviations;
 * beyond lie 3e-11 of a normal distribution. Equal on all instruction sets up to rounding. */
static void random_normal(float *y, float mean, float deviation, uint64_t seed, uint64_t call, int64_t first, int64_t n)
{
    uint32_t t[RANDOM_GROUP];
    float r[RANDOM_GROUP];
    for (int64_t i = 0; i < n; i += RANDOM_GROUP) {
        random_group(t, seed, call, (uint64_t)(first + i) / RANDOM_GROUP);
        for (int j = 0; j < RANDOM_GROUP; j += 32)
            for (int v = j; v < j + 16; v += VL) {
                vf u = (vfromi((vi)((vu)viload((int32_t *)t + v) >> 1)) + vset(0.5f)) * vset(0x1p-31f), cosine;
                vf radius = vsqrt(vset(-2) * v_log(u)) * vset(deviation);
                vf sine = v_sincos_turns(vfromi(viload((int32_t *)t + v + 16)) * vset(0x1p-32f), &cosine);
                vstore(r + v, radius * sine + vset(mean));
                vstore(r + v + 16, radius * cosine + vset(mean));
            }
        memcpy(y + i, r, sizeof *r * (n - i < RANDOM_GROUP ? n - i : RANDOM_GROUP));
    }
}
