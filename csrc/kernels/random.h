/* Random numbers: Philox4x32-10 (Salmon, Moraes, Dror and Shaw, 2011), a block cipher of a counter. Key: the seed.
 * Counter: the number of a block and the number of the call, 64 bits each. So every element of every call has its own
 * number, the same for all instruction sets and however the work is cut.
 *
 * A block gives four words. Elements are in groups of 64 = 16 blocks x 4 words: element 64 g + 16 j + i is word j of
 * block 16 g + i. Vectors of 4, 8 and 16 lanes all run along i, so nothing is ever shuffled.
 */
#define RANDOM_BLOCK 128    /* elements made at once: two groups */
#define RANDOM_CHAINS (VL == 16 ? 4 : 2) /* vectors encrypted side by side: a round's latency is three times its work */

/* The keys of the ten rounds. */
typedef struct { uint64_t k[10][2]; } random_keys;

INLINE random_keys keys_of(uint64_t seed)
{
    random_keys keys;
    for (int i = 0; i < 10; i++) {
        keys.k[i][0] = (uint32_t)seed + i * 0x9E3779B9u;
        keys.k[i][1] = (uint32_t)(seed >> 32) + i * 0xBB67AE85u;
    }
    return keys;
}

/* Encrypts one counter in each lane's lower half. The words 1 and 3 may carry anything in the upper half. */
INLINE void philox(vul c[][4], int chains, const random_keys *keys)
{
    UNROLL for (int round = 0; round < 10; round++)
        UNROLL for (int i = 0; i < chains; i++) {
            vul p0 = vmul32(vulset(0xD2511F53), c[i][0]), p1 = vmul32(vulset(0xCD9E8D57), c[i][2]);
            c[i][0] = (p1 >> 32) ^ c[i][1] ^ vulset(keys->k[round][0]);
            c[i][1] = p1;
            c[i][2] = (p0 >> 32) ^ c[i][3] ^ vulset(keys->k[round][1]);
            c[i][3] = p0;
        }
}

/* The words of the elements from `first` on. Even and odd blocks are encrypted apart: a product needs 64 bits. */
INLINE void random_block(uint32_t w[RANDOM_BLOCK], const random_keys *keys, uint64_t call, uint64_t first)
{
    const vul lanes = VUL_IOTA;
    for (int i = 0; i < 32; i += VL * RANDOM_CHAINS / 2) {
        vul c[RANDOM_CHAINS][4];
        UNROLL for (int n = 0; n < RANDOM_CHAINS; n++) {
            uint64_t block = first / 4 + i + n / 2 * VL + n % 2;
            c[n][0] = vulset(block) + 2 * lanes;
            c[n][1] = vulset(block >> 32);
            c[n][2] = vulset(call);
            c[n][3] = vulset(call >> 32);
        }
        philox(c, RANDOM_CHAINS, keys);
        UNROLL for (int n = 0; n < RANDOM_CHAINS; n += 2) {
            int block = i + n / 2 * VL;
            UNROLL for (int j = 0; j < 4; j++)
                vstore((float *)w + block / 16 * 64 + 16 * j + block % 16,
                       (vf)((c[n][j] & 0xffffffff) | (c[n + 1][j] << 32)));
        }
    }
}

static void random_words(uint32_t *w, uint64_t seed, uint64_t call, int64_t first, int64_t n)
{
    const random_keys keys = keys_of(seed);
    uint32_t t[RANDOM_BLOCK];
    for (int64_t i = 0; i < n; i += RANDOM_BLOCK) {
        random_block(t, &keys, call, (uint64_t)(first + i));
        memcpy(w + i, t, sizeof *t * (n - i < RANDOM_BLOCK ? n - i : RANDOM_BLOCK));
    }
}

/* y = scale x where the element's word is at least `dropped`, else 0 x. */
static void random_dropout(float *y, const float *x, float scale, uint32_t dropped, uint64_t seed, uint64_t call,
                           int64_t first, int64_t n)
{
    const vi sign = viset(INT32_MIN), least = viset((int32_t)dropped) ^ sign;
    const random_keys keys = keys_of(seed);
    uint32_t t[RANDOM_BLOCK];
    for (int64_t i = 0; i < n; i += RANDOM_BLOCK) {
        random_block(t, &keys, call, (uint64_t)(first + i));
        for (int64_t j = 0; j < RANDOM_BLOCK && i + j < n; j += VL) {
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
    const random_keys keys = keys_of(seed);
    uint32_t t[RANDOM_BLOCK];
    for (int64_t i = 0; i < n; i += RANDOM_BLOCK) {
        random_block(t, &keys, call, (uint64_t)(first + i));
        for (int64_t j = 0; j < RANDOM_BLOCK && i + j < n; j += VL) {
            vf u = vfromi((vi)((vu)viload((int32_t *)t + j) >> 8)) * vset(0x1p-24f);
            vf r = vatmost(vset(low) + vrounded(vset(range) * u), last);
            if (i + j + VL <= n) vstore(y + i + j, r);
            else vstore_n(y + i + j, r, n - i - j);
        }
    }
}

/* Box and Muller (1958): two words give two numbers. The radius comes from 31 bits, so |y - mean| goes to 6.66
 * deviations; beyond lie 3e-11 of a normal distribution. Equal on all instruction sets up to rounding. */
static void random_normal(float *y, float mean, float deviation, uint64_t seed, uint64_t call, int64_t first, int64_t n)
{
    const random_keys keys = keys_of(seed);
    uint32_t t[RANDOM_BLOCK];
    float r[RANDOM_BLOCK];
    for (int64_t i = 0; i < n; i += RANDOM_BLOCK) {
        random_block(t, &keys, call, (uint64_t)(first + i));
        for (int j = 0; j < RANDOM_BLOCK; j += 32)
            for (int v = j; v < j + 16; v += VL) {
                vf u = (vfromi((vi)((vu)viload((int32_t *)t + v) >> 1)) + vset(0.5f)) * vset(0x1p-31f), cosine;
                vf radius = vsqrt(vset(-2) * v_log(u)) * vset(deviation);
                vf sine = v_sincos_turns(vfromi(viload((int32_t *)t + v + 16)) * vset(0x1p-32f), &cosine);
                vstore(r + v, radius * sine + vset(mean));
                vstore(r + v + 16, radius * cosine + vset(mean));
            }
        memcpy(y + i, r, sizeof *r * (n - i < RANDOM_BLOCK ? n - i : RANDOM_BLOCK));
    }
}
