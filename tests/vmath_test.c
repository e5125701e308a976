/* vmath.h and random.h of one instruction set against libm in double and against published numbers.
 *
 *     cc -O2 -std=gnu11 -ffp-contract=fast -DVL=8 -mavx2 -mfma -Icsrc tests/vmath_test.c csrc/random.c -lm
 *     ./a.out           about 5e6 points per function; prints a line for each, exits with the number of failures
 *     ./a.out 1 exp     every float (the stride is 1) through one function: half a minute to four minutes
 *     ./a.out speed     nanoseconds per element instead
 *
 * Runs with FTZ and DAZ, as kernels do: subnormal arguments count as 0 and subnormal results may be 0.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "kernels/kernels.h"
#include "par.h"
#include "kernels/vec.h"
#include "kernels/vmath.h"
#include "kernels/random.h"

static int failures;
static void check(bool ok, const char *what, double value, double bound)
{
    printf("%-28s %14.10g  (bound %.10g)%s\n", what, value, bound, ok ? "" : "  FAILED");
    failures += !ok;
}

static unsigned flush_denormals(void)
{
#if defined(__x86_64__)
    unsigned saved = _mm_getcsr();
    _mm_setcsr(saved | 0x8040);
    return saved;
#else
    uint64_t saved;
    __asm__ volatile("mrs %0, fpcr" : "=r"(saved));
    __asm__ volatile("msr fpcr, %0" : : "r"(saved | 1 << 24) : "memory");
    return (unsigned)saved;
#endif
}
static void restore_denormals(unsigned saved)
{
#if defined(__x86_64__)
    _mm_setcsr(saved);
#else
    __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)saved) : "memory");
#endif
}

/* ---- functions of one argument ---- */

static double ref_sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double ref_silu(double x) { return x == -INFINITY ? 0 : x / (1 + exp(-x)); }
static double ref_silu_grad(double x)
{
    double s = ref_sigmoid(x);
    return isinf(x) ? s : s * (1 + x * (1 - s));
}
static double ref_softplus(double x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }
static double ref_gelu(double x) { return x == -INFINITY ? 0 : x * (0.5 * erfc(-x * M_SQRT1_2)); }
static double ref_gelu_grad(double x)
{
    return isinf(x) ? x > 0 : 0.5 * erfc(-x * M_SQRT1_2) + x * exp(-0.5 * x * x) * 0.39894228040143267794;
}
#define TANH_A 1.5957691216057307118
#define TANH_B (0.044715 * TANH_A)
static double ref_gelu_tanh(double x) { return x == -INFINITY ? 0 : x / (1 + exp(-x * (TANH_A + TANH_B * x * x))); }
static double ref_gelu_tanh_grad(double x)
{
    if (isinf(x)) return x > 0;
    double s = ref_sigmoid(x * (TANH_A + TANH_B * x * x));
    return s + s * (1 - s) * x * (TANH_A + 3 * TANH_B * x * x);
}
static double ref_step(double x) { return isnan(x) ? x : x >= 0; }
static double ref_sign(double x) { return x > 0 ? 1 : x < 0 ? -1 : x; }
static double ref_nan_or_zero(double x) { return isnan(x) ? x : 0; }

/* ulp: largest error in units of the last place of the true value; absolute: largest plain error. */
#define FUNCTIONS(F)                                                                                                   \
    F(exp, exp, 2, 0) F(expm1, expm1, 4, 0) F(log, log, 2, 0) F(log1p, log1p, 4, 0) F(tanh, tanh, 2, 0)                \
    F(sigmoid, ref_sigmoid, 2, 0) F(erf, erf, 2, 0) F(gelu, ref_gelu, 2, 0) F(gelu_tanh, ref_gelu_tanh, 2, 0)          \
    F(silu, ref_silu, 4, 0) F(softplus, ref_softplus, 4, 0) F(gelu_grad, ref_gelu_grad, 0, 0x1p-22)                    \
    F(gelu_tanh_grad, ref_gelu_tanh_grad, 0, 0x1p-22) F(silu_grad, ref_silu_grad, 0, 0x1p-22)                          \
    F(step, ref_step, 0, 0) F(sign, ref_sign, 0, 0x1p-126) F(nan_or_zero, ref_nan_or_zero, 0, 0)

#define DEFINE(name, ref, ulp, absolute)                                                                               \
    static void run_##name(float *y, const float *x, int64_t n)                                                        \
    {                                                                                                                  \
        for (int64_t i = 0; i < n; i += VL) vstore(y + i, v_##name(vload(x + i)));                                     \
    }
FUNCTIONS(DEFINE)
#undef DEFINE

typedef struct {
    const char *name;
    void (*run)(float *, const float *, int64_t);
    double (*ref)(double);
    double ulp, absolute;
} function;
static const function functions[] = {
#define ENTRY(name, ref, ulp, absolute) {#name, run_##name, ref, ulp, absolute},
    FUNCTIONS(ENTRY)
#undef ENTRY
};
enum { COUNT = sizeof functions / sizeof *functions };

/* How far y is from the true value, in ulps of a float32; infinite when one of them is NaN or infinite alone. */
static double ulps(float y, double truth)
{
    if (isnan(truth) || isnan(y)) return isnan(truth) && isnan(y) ? 0 : INFINITY;
    if (fabs(truth) >= 0x1.ffffffp127) return y == (truth > 0 ? INFINITY : -INFINITY) ? 0 : INFINITY;
    if (isinf(y)) return INFINITY;
    if (fabs(truth) < 0x1p-126) return fabsf(y) <= 0x1p-126f ? 0 : INFINITY;
    int e;
    frexp(truth, &e);
    return fabs(y - truth) / ldexp(1, e - 24);
}

enum { BLOCK = 4096 };
static void sweep(const function *f, uint64_t stride)
{
    static float x[BLOCK + 16], y[BLOCK + 16];
    double worst = 0;
    float at = 0;
    uint64_t bits = 0;
    while (bits < 1ull << 32) {
        int n = 0;
        for (; n < BLOCK && bits < 1ull << 32; n++, bits += stride) {
            uint32_t b = (uint32_t)bits;
            memcpy(&x[n], &b, 4);
        }
        unsigned saved = flush_denormals();
        f->run(y, x, n);
        restore_denormals(saved);
        for (int i = 0; i < n; i++) {
            double truth = f->ref(fabsf(x[i]) < 0x1p-126f ? 0 : (double)x[i]);
            double error = f->ulp || !(fabs(y[i] - truth) >= 0) ? ulps(y[i], truth) : fabs(y[i] - truth);
            if (!(error <= worst)) worst = error, at = x[i];
        }
    }
    double bound = f->ulp ? f->ulp : f->absolute;
    printf("%-16s worst %.4g %s at %a (bound %g)%s\n", f->name, worst, f->ulp ? "ulp" : "absolute", at, bound,
           worst <= bound ? "" : "  FAILED");
    fflush(stdout);
    failures += !(worst <= bound);
}

static void specials(const function *f)
{
    const float values[] = {0,      -0.f,     INFINITY, -INFINITY, NAN,      1,        -1,       0.5f,    -0.5f,  2,
                            -2,     88.7228f, 88.72284f, 88.8f,    -87.3365f, -87.34f, -104.1f, 1e-38f, -1e-38f,
                            3e38f,  -3e38f,   0x1p-126f, -13.2f,   -13.3f,   9.01f,    -9.01f,   10.f,    -20,    20,
                            0x1p-140f, 0x1.fffffep127f, -0x1.fffffep127f, 0x1.fffffep-1f, 0x1.000002p0f};
    enum { N = sizeof values / sizeof *values };
    float x[N + 16] = {0}, y[N + 16];
    memcpy(x, values, sizeof values);
    unsigned saved = flush_denormals();
    f->run(y, x, N);
    restore_denormals(saved);
    for (int i = 0; i < N; i++) {
        double truth = f->ref(fabsf(x[i]) < 0x1p-126f ? 0 : (double)x[i]);
        double plain = fabs(y[i] - truth);
        bool ok = f->ulp || !(plain >= 0) ? ulps(y[i], truth) <= f->ulp : plain <= f->absolute;
        if (!ok) printf("%s(%a) = %a, expected %a  FAILED\n", f->name, x[i], y[i], truth), failures++;
    }
}

/* ---- functions of two arguments ---- */

static uint64_t state = 1;
static double random_unit(void)
{
    state = state * 6364136223846793005 + 1442695040888963407;
    return (double)(state >> 11) * 0x1p-53;
}
static float random_float(void) /* any bits at all */
{
    uint32_t b = (uint32_t)(random_unit() * 0x1p32);
    float f;
    memcpy(&f, &b, 4);
    return fabsf(f) < 0x1p-126f ? 0 : f;
}

static double worst_pow(float *x, float *y, int n, bool exact)
{
    static float z[BLOCK + 16];
    unsigned saved = flush_denormals();
    for (int i = 0; i < n; i += VL) vstore(z + i, v_pow(vload(x + i), vload(y + i)));
    restore_denormals(saved);
    double worst = 0;
    for (int i = 0; i < n; i++) {
        double truth = pow(x[i], y[i]), error = ulps(z[i], truth);
        if (exact && truth == 0 && !signbit(truth) != !signbit(z[i])) error = INFINITY;
        if (!(error <= 2) && failures < 20) printf("pow(%a, %a) = %a, expected %a\n", x[i], y[i], z[i], truth);
        if (!(error <= worst)) worst = error;
    }
    return worst;
}
static void check_pow(void)
{
    static float x[BLOCK + 16], y[BLOCK + 16];
    const float values[] = {0, -0.f, 1, -1, 2, -2, 3, -3, 0.5f, -0.5f, 1.5f, -1.5f, 0x1p24f, -0x1p24f, 16777215,
                            -16777215, 8388607.5f, 4194303.5f, 1e30f, -1e30f, INFINITY, -INFINITY, NAN, 0x1.fffffep-1f,
                            0x1.000002p0f, -0x1.000002p0f, 127, 128, -126, 0x1p31f, 0x1p-126f, 1e-30f};
    enum { N = sizeof values / sizeof *values };
    int n = 0;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++, n++) x[n] = values[i], y[n] = values[j];
    check(n <= BLOCK && worst_pow(x, y, n, true) <= 2, "pow, special values", n, BLOCK);
    double worst = 0;
    for (int k = 0; k < 400; k++) {
        for (int i = 0; i < BLOCK; i++) {
            double u = random_unit();
            x[i] = k % 4 ? fabsf(random_float()) : random_float();
            if (k % 4 == 1) x[i] = (float)(0.5 + random_unit());
            y[i] = k % 4 == 2 ? (float)(random_unit() * 300 - 150) / (float)log2(x[i])
                 : k % 4 == 3 ? (float)(int)(u * 20 - 10) : random_float();
            if (k % 4 == 1) y[i] = (float)(random_unit() * 300 - 150) / (float)log2(x[i]);
        }
        double w = worst_pow(x, y, BLOCK, false);
        if (!(w <= worst)) worst = w;
    }
    check(worst <= 2, "pow, ulp", worst, 2);
}

static double max_log(double x) { return fmax(log(x), -100); }
static void check_losses(void)
{
    static float x[BLOCK + 16], t[BLOCK + 16], y[9][BLOCK + 16];
    double worst[9] = {0};
    for (int k = 0; k < 100; k++) {
        for (int i = 0; i < BLOCK; i++) {
            x[i] = (float)(i % 3 ? random_unit() : exp(-30 * random_unit()));
            t[i] = (float)(i % 2 ? random_unit() : i % 4 / 2);
        }
        x[0] = x[1] = 0, x[2] = x[3] = 1;
        for (int i = 0; i < BLOCK; i += VL) {
            vf vx = vload(x + i), vt = vload(t + i), d = vset(4) * (vx - vt), a = vset(0.75f);
            vstore(y[0] + i, v_bce(vx, vt));
            vstore(y[1] + i, v_bce_grad(vx, vt));
            vstore(y[2] + i, v_bce_logits(vset(50) * (vx - vset(0.5f)), vt));
            vstore(y[3] + i, v_huber(d, a));
            vstore(y[4] + i, v_smooth_l1(d, a));
            vstore(y[5] + i, v_smooth_l1_grad(d, a));
            vstore(y[6] + i, v_smooth_l1(d, vset(0)));
            vstore(y[7] + i, v_smooth_l1_grad(d, vset(0)));
        }
        for (int i = 0; i < BLOCK; i++) {
            double p = x[i], q = t[i], d = 4 * (x[i] - t[i]), a = 0.75, m = fabs(d), z = 50 * (x[i] - 0.5f);
            double r[8] = {-(q * max_log(p) + (1 - q) * fmax(log1p(-p), -100)),
                           (p - q) / fmax((1 - p) * p, 1e-12),
                           fmax(z, 0) - z * q + log1p(exp(-fabs(z))),
                           m < a ? 0.5 * d * d : a * (m - 0.5 * a),
                           m < a ? 0.5 * d * d / a : m - 0.5 * a,
                           m < a ? d / a : (d > 0) - (d < 0),
                           m, (d > 0) - (d < 0)};
            for (int j = 0; j < 8; j++) {
                double error = fabs(y[j][i] - r[j]) / fmax(fabs(r[j]), j == 2 ? 1 : 1e-30);
                if (r[j] == 0) error = fabs(y[j][i]);
                if (!(error <= worst[j])) worst[j] = error;
            }
        }
    }
    const char *names[] = {"bce", "bce_grad", "bce_logits", "huber", "smooth_l1", "smooth_l1_grad", "smooth_l1, 0",
                           "smooth_l1_grad, 0"};
    /* a few roundings each; the logits' loss subtracts numbers of up to 25: 25 eps */
    for (int j = 0; j < 8; j++) check(worst[j] <= (j == 2 ? 4e-6 : 5e-7), names[j], worst[j], j == 2 ? 4e-6 : 5e-7);
    vf bad = v_bce(vset(NAN), vset(1)) + v_bce_logits(vset(0), vset(NAN)) + v_huber(vset(NAN), vset(1));
    check(bad[0] != bad[0] && isnan(v_bce(vset(NAN), vset(1))[0]) && isnan(v_bce_logits(vset(NAN), vset(0))[0]) &&
          isnan(v_huber(vset(NAN), vset(1))[0]) && isnan(v_smooth_l1(vset(NAN), vset(1))[0]) &&
          isnan(v_smooth_l1_grad(vset(NAN), vset(1))[0]) && isnan(v_bce_grad(vset(NAN), vset(1))[0]),
          "losses of NaN are NaN", 0, 0);
    check(fabs(v_bce_logits(vset(1e4f), vset(0))[0] - 1e4) < 1e-2 && v_bce_logits(vset(-1e4f), vset(0))[0] < 1.2e-38f,
          "bce_logits of 1e4", v_bce_logits(vset(1e4f), vset(0))[0], 1e4);
}

static void check_turns(void)
{
    double worst = 0;
    for (int i = -50000; i <= 50000; i++) {
        vf c, s = v_sincos_turns(vset((float)i * 1e-5f), &c);
        double x = 2 * M_PI * (double)((float)i * 1e-5f);
        worst = fmax(worst, fmax(fabs(s[0] - sin(x)), fabs(c[0] - cos(x))));
    }
    check(worst <= 0x1p-23, "sincos_turns, absolute", worst, 0x1p-23);
}

/* ---- random numbers ---- */

static const nn_kernels kernels = {.random_words = random_words, .random_dropout = random_dropout,
                                   .random_uniform = random_uniform, .random_normal = random_normal};
const nn_kernels *nn_k = &kernels;
int nn_op_dropout(const nn_call *), nn_op_dropout_grad(const nn_call *), nn_op_uniform(const nn_call *);
int nn_op_normal(const nn_call *), nn_op_permutation(const nn_call *);

void nn_for(int64_t tasks, double work, nn_task_fn *fn, void *arg)
{
    (void)work;
    for (int64_t i = tasks; i-- > 0;) fn(arg, i, 0);
}
int nn_workers(double work) { return (void)work, 1; }

static void check_philox(void)
{
    /* The known answers that come with Random123 (D. E. Shaw Research): counter, key, result. */
    const uint32_t known[3][10] = {
        {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        {~0u, ~0u, ~0u, ~0u, ~0u, ~0u, 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
        {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0,
         0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1},
    };
    bool ok = true;
    for (int i = 0; i < 3; i++) {
        const uint32_t *v = known[i];
        vul c[1][4] = {{vulset(v[0]), vulset(v[1]), vulset(v[2]), vulset(v[3])}};
        random_keys keys = keys_of((uint64_t)v[5] << 32 | v[4]);
        philox(c, 1, &keys);
        for (int j = 0; j < 4; j++)
            for (int lane = 0; lane < VL / 2; lane++) ok &= (uint32_t)c[0][j][lane] == v[6 + j];
    }
    check(ok, "philox, known answers", 0, 0);

    /* Element 64 g + 16 j + i is word j of block 16 g + i, also where the block's number passes 2^32. */
    uint64_t group = 0x10000000, block = 16 * group + 5;
    uint32_t w[64];
    random_words(w, 0x0123456789abcdef, 77, (int64_t)group * 64, 64);
    vul c[1][4] = {{vulset(block), vulset(block >> 32), vulset(77), vulset(0)}};
    random_keys keys = keys_of(0x0123456789abcdef);
    philox(c, 1, &keys);
    check(w[5] == (uint32_t)c[0][0][0] && w[53] == (uint32_t)c[0][3][0], "philox, layout", 0, 0);
}

static nn_view view(void *p, int64_t n)
{
    nn_view v = {.p = p, .nd = 1, .n = {(int32_t)n}};
    return v;
}
enum { N = 1000003 };
static float a[N + 16], b[N + 16];

static void check_drivers(void)
{
    uint64_t s[2] = {42, 7}, key[2];
    nn_call c = {.nv = 2, .nout = 2, .v = {view(a, N), view(s, 2)}};

    c.a.f[0] = -1, c.a.f[1] = 3;
    nn_op_uniform(&c);
    double sum = 0, square = 0, low = 9, high = -9, lag = 0;
    for (int i = 0; i < N; i++) {
        sum += a[i], square += (a[i] - 1.) * (a[i] - 1.), low = fmin(low, a[i]), high = fmax(high, a[i]);
        if (i) lag += (a[i] - 1.) * (a[i - 1] - 1.);
    }
    check(s[1] == 8, "calls are counted", (double)s[1], 8);
    check(fabs(sum / N - 1) < 5 * 2 / sqrt(3. * N), "uniform, mean - 1", sum / N - 1, 5 * 2 / sqrt(3. * N));
    check(fabs(square / N - 4 / 3.) < 0.01, "uniform, variance - 4/3", square / N - 4 / 3., 0.01);
    check(fabs(lag / N) < 5 * 4 / 3. / sqrt(N), "uniform, lag 1", lag / N, 5 * 4 / 3. / sqrt(N));
    check(low >= -1 && high < 3 && low < -0.9999 && high > 2.9999, "uniform, range", low, high);
    /* the same bits everywhere: a hash of the stream */
    uint32_t hash = 0;
    for (int i = 0; i < N; i++) {
        uint32_t bits;
        memcpy(&bits, &a[i], 4);
        hash = (hash ^ bits) * 16777619;
    }
    check(hash == 3883305083u, "uniform, hash", hash, 3883305083u);

    /* a piece of the stream by itself, and a tail */
    random_uniform(b, -1, 4, nextafterf(3, 0), 42, 7, 64 * 100, 1001);
    check(!memcmp(b, a + 6400, 1001 * sizeof *a), "uniform, any cut", 0, 0);
    b[5] = 77;
    random_uniform(b, 0, 1, 1, 42, 7, 0, 5);
    check(b[5] == 77, "uniform, writes n", b[5], 77);
    c.a.f[0] = 1, c.a.f[1] = 1 + 0x1p-22f;
    nn_op_uniform(&c);
    high = 0;
    for (int i = 0; i < N; i++) high = fmax(high, a[i]);
    check(high < 1 + 0x1p-22, "uniform, never high", high - 1, 0x1p-22);

    c.a.f[0] = 1, c.a.f[1] = 2;
    nn_op_normal(&c);
    double m[5] = {0};
    int tail = 0;
    lag = 0;
    for (int i = 0; i < N; i++) {
        double z = (a[i] - 1.) / 2;
        for (int k = 1; k < 5; k++) m[k] += pow(z, k) / N;
        tail += fabs(z) > 3;
        if (i >= 16) lag += z * (a[i - 16] - 1.) / 2 / N;
    }
    check(fabs(m[1]) < 5e-3, "normal, mean", m[1], 5e-3);
    check(fabs(m[2] - 1) < 7e-3, "normal, variance - 1", m[2] - 1, 7e-3);
    check(fabs(m[3]) < 1.3e-2, "normal, skewness", m[3], 1.3e-2);
    check(fabs(m[4] - 3) < 5e-2, "normal, kurtosis - 3", m[4] - 3, 5e-2);
    check(fabs(lag) < 5e-3, "normal, sine with cosine", lag, 5e-3);
    check(fabs(tail / (double)N - 0.0026998) < 2.6e-4, "normal, beyond 3 sigma", tail / (double)N, 0.0027);
    random_normal(b, 1, 2, 42, 9, 64 * 7, 999);
    check(!memcmp(b, a + 64 * 7, 999 * sizeof *a), "normal, any cut", 0, 0);

    /* dropout, and its gradient by the key */
    for (int i = 0; i < N; i++) b[i] = 1;
    nn_call d = {.nv = 4, .nout = 2, .v = {view(a, N), view(key, 2), view(b, N), view(s, 2)}};
    d.a.f[0] = 0.2f;
    nn_op_dropout(&d);
    int zeros = 0;
    bool exact = true;
    for (int i = 0; i < N; i++) zeros += a[i] == 0, exact &= a[i] == 0 || a[i] == 1 / (1 - 0.2f);
    double share = zeros / (double)N;
    check(exact && fabs(share - 0.2) < 5 * 0.4 / sqrt(N), "dropout, share of zeros", share, 0.2);
    static float g[N + 16];
    nn_call e = {.nv = 3, .nout = 1, .v = {view(g, N), view(b, N), view(key, 2)}};
    e.a.f[0] = 0.2f;
    nn_op_dropout_grad(&e);
    check(!memcmp(a, g, N * sizeof *a), "dropout_grad, the same mask", 0, 0);
    nn_op_dropout(&d);
    int same = 0;
    for (int i = 0; i < N; i++) same += (a[i] == 0) & (g[i] == 0);
    check(fabs(same / (double)N - 0.04) < 1e-3, "dropout, another mask", same / (double)N, 0.04);
    d.a.f[0] = 0, nn_op_dropout(&d);
    check(!memcmp(a, b, N * sizeof *a), "dropout of 0", 0, 0);
    d.a.f[0] = 1, nn_op_dropout(&d);
    memset(g, 0, sizeof g);
    check(!memcmp(a, g, N * sizeof *a), "dropout of 1", 0, 0);

    static int64_t order[N];
    static char seen[N];
    nn_call p = {.nv = 2, .nout = 2, .v = {view(order, N), view(s, 2)}};
    nn_op_permutation(&p);
    int fixed = 0;
    bool once = true;
    double drift = 0;
    for (int i = 0; i < N; i++) {
        once &= order[i] >= 0 && order[i] < N && !seen[order[i]]++;
        fixed += order[i] == i;
        drift += (order[i] - N / 2.) * (i - N / 2.) / (N * (double)N * N / 12);
    }
    check(once && fixed < 12 && fabs(drift) < 5e-3, "permutation, correlation", drift, 5e-3);
    int count[6] = {0};
    p.v[0] = view(order, 3);
    for (int i = 0; i < 60000; i++) nn_op_permutation(&p), count[order[0] * 2 + (order[1] > order[2])]++;
    double chi = 0;
    for (int i = 0; i < 6; i++) chi += (count[i] - 1e4) * (count[i] - 1e4) / 1e4;
    check(chi < 25, "permutations of 3, chi square", chi, 25);
}

/* ---- speed ---- */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}
#define SPEED(name, n, statement)                                                                                      \
    do {                                                                                                               \
        double best = 1e30;                                                                                            \
        for (int r = 0; r < 300; r++) {                                                                                \
            double t = now();                                                                                          \
            for (int k = 0; k < 10; k++) { statement; }                                                                \
            t = now() - t;                                                                                             \
            if (t < best) best = t;                                                                                    \
        }                                                                                                              \
        printf("%-16s %.3f ns per element\n", name, best / 10 / (n));                                                  \
    } while (0)

static void run_pow(float *z, const float *x, const float *y, int64_t n)
{
    for (int64_t i = 0; i < n; i += VL) vstore(z + i, v_pow(vload(x + i), vload(y + i)));
}
static void speed(void)
{
    flush_denormals();
    for (int i = 0; i < BLOCK; i++) a[i] = (float)(4 * random_unit() - 2) + 1e-3f;
    for (int f = 0; f < COUNT; f++) {
        bool positive = !strncmp(functions[f].name, "log", 3);
        for (int i = 0; i < BLOCK; i++) b[i] = positive ? fabsf(a[i]) : a[i];
        SPEED(functions[f].name, BLOCK, functions[f].run(a + BLOCK, b, BLOCK));
    }
    SPEED("pow", BLOCK, run_pow(b + BLOCK, b, a, BLOCK));
    SPEED("words", BLOCK, random_words((uint32_t *)a, 1, k, 0, BLOCK));
    SPEED("dropout", BLOCK, random_dropout(a, b, 1, 1u << 30, 1, k, 0, BLOCK));
    SPEED("uniform", BLOCK, random_uniform(a, 0, 1, 1, 1, k, 0, BLOCK));
    SPEED("normal", BLOCK, random_normal(a, 0, 1, 1, k, 0, BLOCK));
    uint64_t s[2] = {1, 1};
    static int64_t order[60000];
    nn_call p = {.nv = 2, .nout = 2, .v = {view(order, 60000), view(s, 2)}};
    SPEED("permutation", 60000, nn_op_permutation(&p));
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "speed")) {
        speed();
        return 0;
    }
    uint64_t stride = argc > 1 ? strtoull(argv[1], NULL, 10) : 863; /* a prime: 5e6 points */
    for (int i = 0; i < COUNT; i++) {
        if (argc > 2 && strcmp(argv[2], functions[i].name)) continue;
        specials(&functions[i]);
        sweep(&functions[i], stride);
    }
    if (argc > 2) return failures;
    check_pow();
    check_losses();
    check_turns();
    check_philox();
    check_drivers();
    printf("%d failures\n", failures);
    return failures > 100 ? 100 : failures;
}
