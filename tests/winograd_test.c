/* Winograd's convolution and its gradients against sums in double precision. Compiled and run for each instruction set
 * by test_winograd.py, with threads and memory of its own: tasks run in any order, memory holds NaN, allocations fail.
 *
 * The bound. With inputs of variance 1, an output is a sum of k terms, of size sqrt(k): k = 9 c or 25 c, or for dw all
 * pixels. Its error is that of the transforms, a few roundings of numbers some times as large, and a random walk along
 * the sum of products, at most 64 channels or 128 tiles long: sqrt(k) eps (10 + 2 sqrt(length)), eps = 2^-24. Measured:
 * 8.7 eps for 16 channels, 15 for 256, a tenth more for 5 x 5; the bound is 18 and 26. Points of +-1 and +-2 do not
 * keep it. Single errors are Gaussian: 7 times the bound is far outside.
 */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "kernels/kernels.h"
#include "kernels/vec.h"
#include "kernels/winograd.h"
#include "kernels/winograd_product.h"
#include "kernels/gather.h"
#include "conv.h"
#include "par.h"

static int failures;
static void check(bool ok, const char *what, const char *where, double value, double limit)
{
    if (ok) return;
    failures++;
    printf("FAILED %s, %s: %g, limit %g\n", what, where, value, limit);
}

/* ---- what the driver stands on ---- */

static void add_to(float *y, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] += x[i];
}
static void relu(float *y, const float *x, const float *a, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] = x[i] > a[0] ? x[i] : a[0];
}
static const nn_kernels kernels = {
    .winograd_patch = winograd_patch, .winograd_in = winograd_in, .winograd_out = winograd_out,
    .winograd_dy = winograd_dy, .winograd_weights = winograd_weights, .winograd_dweights = winograd_dweights,
    .winograd_product = winograd_product, .winograd_dw = winograd_dw, .transpose4 = transpose4, .add_to = add_to,
};
const nn_kernels *nn_k = &kernels;

/* no moments are wanted here: test_moments.py tests them */
int nn_moments_start(nn_moments *m, int64_t parts) { return (void)m, (void)parts, NN_OK; }
void nn_moments_finish(nn_moments *m) { (void)m; }
void nn_moments_add(nn_moments *m, const float *y, const nn_lines *l) { (void)m, (void)y, (void)l; }
void nn_grad_sums_add(nn_grad_sums *s, float *dy, int64_t at, const nn_lines *l)
{
    (void)s, (void)dy, (void)at, (void)l;
}

static int workers = 1;
int nn_workers(double work)
{
    (void)work;
    return workers;
}
void nn_for(int64_t tasks, double work, nn_task_fn *fn, void *arg)
{
    (void)work;
    for (int64_t i = 0; i < tasks; i++) {
        int64_t task = workers > 1 ? tasks - 1 - i : i;
        fn(arg, task, (int)(task * 7 % workers));
    }
}

static int64_t blocks, fail_after = -1;
void *nn_alloc(size_t bytes)
{
    if (fail_after >= 0 && fail_after-- == 0) return NULL;
    float *p = aligned_alloc(64, (bytes + NN_OVERREAD + 63) / 64 * 64);
    for (size_t i = 0; i < (bytes + NN_OVERREAD) / sizeof(float); i++) p[i] = NAN;
    blocks++;
    return p;
}
void nn_free(void *p, size_t bytes)
{
    (void)bytes;
    blocks -= p != NULL;
    free(p);
}

/* ---- arrays ---- */

static uint64_t state = 1;
static double uniform(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(state >> 11) * 0x1p-53;
}
/* n numbers of variance 1, and NaN where reading past the end is allowed */
static float *numbers(int64_t n)
{
    float *p = nn_alloc((size_t)n * sizeof(float));
    for (int64_t i = 0; i < n; i++) p[i] = (float)((uniform() - 0.5) * sqrt(12));
    return p;
}
enum { GUARD = 32 };
static const float START = 0.5f;
/* n times START, and a guard behind */
static float *output(int64_t n)
{
    float *p = nn_alloc((size_t)(n + GUARD) * sizeof(float));
    for (int64_t i = 0; i < n + GUARD; i++) p[i] = i < n ? START : 77;
    return p;
}
static void release(float *p) { nn_free(p, 0); }

/* ---- one output of each kind, in double precision ---- */

typedef struct {
    const char *name;
    int64_t b, h, w, c, o, top, left, bottom, right;
} shape;
typedef struct {
    nn_conv g;
    const float *x, *w, *dy, *bias; /* bias NULL: adds to START */
} problem;

static double exact_y(const problem *a, int64_t index)
{
    const nn_conv *g = &a->g;
    int64_t o = index % g->o, q = index / g->o % g->q, p = index / g->o / g->q % g->p, b = index / g->o / g->q / g->p;
    double sum = a->bias ? a->bias[o] : START;
    for (int64_t r = 0; r < g->r; r++)
        for (int64_t s = 0; s < g->s; s++) {
            int64_t h = p + r - g->top, w = q + s - g->left;
            if (h < 0 || h >= g->h || w < 0 || w >= g->w) continue;
            for (int64_t c = 0; c < g->c; c++)
                sum += (double)a->x[((b * g->h + h) * g->w + w) * g->c + c] *
                       a->w[((r * g->s + s) * g->c + c) * g->o + o];
        }
    return a->bias && sum < 0.25 ? 0.25 : sum; /* the activation */
}

static double exact_dx(const problem *a, int64_t index)
{
    const nn_conv *g = &a->g;
    int64_t c = index % g->c, w = index / g->c % g->w, h = index / g->c / g->w % g->h, b = index / g->c / g->w / g->h;
    double sum = a->bias ? 0 : START;
    for (int64_t r = 0; r < g->r; r++)
        for (int64_t s = 0; s < g->s; s++) {
            int64_t p = h - r + g->top, q = w - s + g->left;
            if (p < 0 || p >= g->p || q < 0 || q >= g->q) continue;
            for (int64_t o = 0; o < g->o; o++)
                sum += (double)a->dy[((b * g->p + p) * g->q + q) * g->o + o] *
                       a->w[((r * g->s + s) * g->c + c) * g->o + o];
        }
    return sum;
}

static double exact_dw(const problem *a, int64_t index)
{
    const nn_conv *g = &a->g;
    int64_t o = index % g->o, c = index / g->o % g->c, tap = index / g->o / g->c, r = tap / g->s, s = tap % g->s;
    double sum = a->bias ? 0 : START;
    for (int64_t b = 0; b < g->b; b++)
        for (int64_t p = 0; p < g->p; p++)
            for (int64_t q = 0; q < g->q; q++) {
                int64_t h = p + r - g->top, w = q + s - g->left;
                if (h < 0 || h >= g->h || w < 0 || w >= g->w) continue;
                sum += (double)a->x[((b * g->h + h) * g->w + w) * g->c + c] *
                       a->dy[((b * g->p + p) * g->q + q) * g->o + o];
            }
    return sum;
}

/* ---- comparison ---- */

static int run(const problem *a, int kind, float *out)
{
    static const float floor_[2] = {0.25f, 0};
    const nn_conv *g = &a->g;
    nn_conv turned = {.b = g->b, .h = g->p, .w = g->q, .c = g->o, .p = g->h, .q = g->w, .o = g->c, .r = g->r, .s = g->s,
                      .stride_h = 1, .stride_w = 1, .dilation_h = 1, .dilation_w = 1, .groups = 1,
                      .top = g->r - 1 - g->top, .left = g->s - 1 - g->left};
    if (kind == 0) return nn_winograd(out, a->x, a->w, a->bias, g, 0, !a->bias, a->bias ? relu : NULL, floor_,
                                      NULL, NULL);
    if (kind == 1) return nn_winograd(out, a->dy, a->w, NULL, &turned, 1, !a->bias, NULL, NULL, NULL, NULL);
    return nn_winograd_dw(out, a->x, a->dy, g, !a->bias, NULL);
}

static void compare(const problem *a, int kind, int64_t n, double terms, double length, const char *where)
{
    static const char *const names[] = {"y", "dx", "dw"};
    double (*const exact[])(const problem *, int64_t) = {exact_y, exact_dx, exact_dw};
    float *out = output(n), *other = output(n);
    check(run(a, kind, out) == NN_OK, names[kind], where, 1, 0);
    for (int i = 0; i < GUARD; i++) check(out[n + i] == 77, "writes past the end", where, i, 0);
    workers = 3;
    run(a, kind, other);
    workers = 1;
    check(!memcmp(out, other, (size_t)n * sizeof(float)), "threads change the result of", names[kind], 0, 0);

    double limit = sqrt(terms) * 0x1p-24 * (10 + 2 * sqrt(length)), square = 0, worst = 0;
    int64_t samples = n < 600 ? n : 600;
    for (int64_t i = 0; i < samples; i++) {
        int64_t at = n <= samples ? i : i < 40 ? i : i < 80 ? n - 1 - (i - 40) : (int64_t)(uniform() * (double)n);
        double error = fabs(out[at] - exact[kind](a, at));
        square += error * error / (double)samples;
        if (!(error <= worst)) worst = error;
    }
    check(sqrt(square) <= limit, names[kind], where, sqrt(square), limit);
    check(worst <= 7 * limit, names[kind], where, worst, 7 * limit);
    release(out);
    release(other);
}

static void check_shape(const shape *t, int64_t window, bool acc)
{
    problem a = {.g = {.b = t->b, .h = t->h, .w = t->w, .c = t->c, .p = t->h + t->top + t->bottom - window + 1,
                       .q = t->w + t->left + t->right - window + 1, .o = t->o, .r = window, .s = window, .stride_h = 1,
                       .stride_w = 1, .dilation_h = 1, .dilation_w = 1, .top = t->top, .left = t->left, .groups = 1}};
    nn_conv *g = &a.g;
    if (g->p < 1 || g->q < 1) return;
    int64_t nx = g->b * g->h * g->w * g->c, ny = g->b * g->p * g->q * g->o, taps = window * window;
    int64_t nw = taps * g->c * g->o;
    float *x = numbers(nx), *w = numbers(nw), *dy = numbers(ny), *bias = numbers(g->o);
    char where[200];
    snprintf(where, sizeof where, "%s, %lld^2: %lld x %lld x %lld, %lld to %lld channels, zeros %lld %lld %lld %lld%s",
             t->name, (long long)window, (long long)t->b, (long long)t->h, (long long)t->w, (long long)t->c,
             (long long)t->o, (long long)t->top, (long long)t->left, (long long)t->bottom, (long long)t->right,
             acc ? ", added" : "");
    a.x = x, a.w = w, a.dy = dy, a.bias = acc ? NULL : bias;
    int64_t tile = 7 - window;
    double tiles = (double)(g->b * ((g->p + tile - 1) / tile) * ((g->q + tile - 1) / tile));
    compare(&a, 0, ny, (double)(taps * g->c), g->c < 64 ? (double)g->c : 64, where);
    compare(&a, 1, nx, (double)(taps * g->o), g->o < 64 ? (double)g->o : 64, where);
    compare(&a, 2, nw, (double)(g->b * g->p * g->q), tiles < 128 ? tiles : 128, where);
    release(x), release(w), release(dy), release(bias);
}

static void check_sizes(int64_t window)
{
    static const int64_t maps[][3] = {{2, 1, 1}, {1, 2, 2}, {3, 5, 7}, {2, 13, 13}, {1, 4, 4}, {9, 8, 8}, {1, 3, 30}};
    static const int64_t channels[][2] = {{1, 1}, {3, 5}, {17, 48}, {16, 16}, {33, 31}, {48, 17}};
    static const int64_t all_zeros[][5][4] = {
        {{1, 1, 1, 1}, {0, 0, 0, 0}, {2, 2, 2, 2}, {0, 1, 2, 0}, {1, 0, 0, 2}}, /* above, left, below, right */
        {{2, 2, 2, 2}, {0, 0, 0, 0}, {4, 4, 4, 4}, {1, 3, 4, 0}, {3, 0, 1, 4}},
    };
    const int64_t(*zeros)[4] = all_zeros[window == 5];
    for (int m = 0; m < 7; m++)
        for (int c = 0; c < 6; c++)
            for (int z = 0; z < 5; z++) {
                const int64_t *s = maps[m], *d = zeros[z];
                check_shape(&(shape){"sizes", s[0], s[1], s[2], channels[c][0], channels[c][1], d[0], d[1], d[2], d[3]},
                            window, (m + c + z) % 2);
            }
    static const shape large[] = { /* for the window 3 x 3; for 5 x 5 with about as many tiles */
        {"boxes of rows", 3, 50, 41, 17, 33, 1, 1, 1, 1},    {"parts of a row", 1, 9, 603, 3, 5, 0, 1, 1, 0},
        {"boxes of images", 60, 7, 6, 16, 48, 1, 1, 1, 1},   {"one tile an image", 300, 4, 4, 5, 20, 1, 1, 1, 1},
        {"panels", 4, 14, 14, 150, 97, 1, 1, 1, 1},          {"small boxes", 20, 12, 12, 64, 64, 1, 1, 1, 1},
        {"many pieces", 33, 32, 32, 3, 2, 1, 1, 1, 1},       {"chunks", 270, 2, 3, 128, 256, 1, 1, 1, 1},
        {"deep", 3, 8, 8, 256, 80, 1, 1, 1, 1},              {"deep boxes", 33, 8, 8, 256, 16, 1, 1, 1, 1},
        {"a box of chunks", 5, 7, 7, 250, 133, 1, 1, 1, 1},
    };
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
        shape t = large[i];
        if (window == 5)
            t.h = (t.h + 1) / 2, t.w = (t.w + 1) / 2, t.top *= 2, t.left *= 2, t.bottom *= 2, t.right *= 2;
        check_shape(&t, window, i % 2);
    }
}

/* One NaN in x reaches the pixels whose tile sees it, among them all whose window holds it, and no others. */
static void check_nan(int window)
{
    enum { H = 40, C = 5, O = 19 };
    int tile = 7 - window, edge = window / 2;
    nn_conv g = {.b = 2, .h = H, .w = H, .c = C, .p = H, .q = H, .o = O, .r = window, .s = window, .stride_h = 1,
                 .stride_w = 1, .dilation_h = 1, .dilation_w = 1, .top = edge, .left = edge, .groups = 1};
    float *x = numbers(2 * H * H * C), *w = numbers(window * window * C * O), *y = output(2 * H * H * O);
    x[(H + 17) * C * H + 16 * C + 3] = NAN; /* image 1, row 17, column 16 */
    nn_winograd(y, x, w, NULL, &g, 0, 0, NULL, NULL, NULL, NULL);
    bool spread = true, kept = true;
    for (int b = 0; b < 2; b++)
        for (int p = 0; p < H; p++)
            for (int q = 0; q < H; q++)
                for (int o = 0; o < O; o++) {
                    bool nan = isnan(y[((b * H + p) * H + q) * O + o]);
                    int top = p / tile * tile - edge, left = q / tile * tile - edge; /* of what the tile sees: 6 x 6 */
                    bool sees = b == 1 && top <= 17 && 17 < top + 6 && left <= 16 && 16 < left + 6;
                    if (b == 1 && abs(p - 17) <= edge && abs(q - 16) <= edge) spread &= nan;
                    if (!sees) kept &= !nan;
                }
    check(spread, "NaN in, NaN out", "", window, 0);
    check(kept, "NaN stays in its tiles", "", window, 0);
    release(x), release(w), release(y);
}

static void check_memory(int64_t window)
{
    static const int64_t sizes[][3] = {{1, 8, 16}, {40, 8, 16}, {1, 4, 192}};
    for (int i = 0; i < 3; i++) {
        int64_t b = sizes[i][0], h = sizes[i][1], c = sizes[i][2], n = b * h * h * c, nw = window * window * c * c;
        problem a = {.g = {.b = b, .h = h, .w = h, .c = c, .p = h, .q = h, .o = c, .r = window, .s = window,
                           .stride_h = 1, .stride_w = 1, .dilation_h = 1, .dilation_w = 1, .top = window / 2,
                           .left = window / 2, .groups = 1}};
        float *x = numbers(n), *w = numbers(nw), *out = output(n > nw ? n : nw);
        int64_t before = blocks;
        a.x = a.dy = x, a.w = w;
        for (int kind = 0; kind < 3; kind++)
            for (int fail = 0; fail < 6; fail++) {
                fail_after = fail;
                int status = run(&a, kind, out);
                bool failed = fail_after < 0;
                fail_after = -1;
                check(status == (failed ? NN_NOMEM : NN_OK), "status without memory", "", status, fail);
                check(failed || fail > 1, "every allocation is seen to fail", "", fail, 0);
                check(blocks == before, "scratch is freed", "", (double)(blocks - before), 0);
            }
        release(x), release(w), release(out);
    }
}

int main(void)
{
    for (int window = 3; window <= 5; window += 2) {
        check_sizes(window);
        check_nan(window);
        check_memory(window);
    }
    check(blocks == 0, "all memory is freed", "", (double)blocks, 0);
    printf("%d failures\n", failures);
    return failures > 100 ? 100 : failures;
}
