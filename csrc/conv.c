/* Convolution: y[b,p,q,o] = sum over r s c of x[b, p*stride+r*dilation-top, q*stride+s*dilation-left, c] * w[r,s,c,o],
 * its two gradients, and the transposed convolution, which is the gradient of the input. Images are features last.
 *
 * Forward and the gradient of the input are correlations (correlate.c): forward with the window's places as they are;
 * the gradient with their signs turned, and with stride one correlation for each of the stride_h * stride_w pixels
 * that see the same places. The gradient of the weights is in conv_weights.c. 1 x 1 windows without padding and stride
 * are products of gemm.c; 3 x 3 and 5 x 5 ones of stride 1 may go to winograd.c.
 */
#include "correlate.h"
#include "elementwise.h"
#include "gemm.h"
#include "par.h"
#include <math.h>

#define WINOGRAD_CHANNELS 12 /* It is winograd.c from so many channels in, */
#define WINOGRAD_MAP 4       /* pixels of the result's sides (and no fewer than the window's), */
#define WINOGRAD_PIXELS 64   /* and pixels of the results of the batch. */

static int pointwise(const nn_conv *g)
{
    return g->r == 1 && g->s == 1 && g->stride_h == 1 && g->stride_w == 1 && g->groups == 1 && g->top == 0 &&
           g->left == 0 && g->p == g->h && g->q == g->w;
}

/* Whether lines of so many pixels are better cut into wide tiles. */
static int wide_lines(int64_t images, int64_t lines, int64_t pixels, int64_t outputs)
{
    return nn_k->gemm_wide(nn_small_map(images, lines * pixels) ? images : pixels, outputs);
}

/* ---- forward ----------------------------------------------------------------------------------------------------- */

static int forward(const nn_conv *g, float *y, const float *x, const float *w, const float *bias, nn_unary_fn *f,
                   const float *attr, nn_moments *moments)
{
    int64_t inputs = g->c / g->groups, outputs = g->o / g->groups, rows = g->r * g->s * inputs;
    int64_t packed_group = nn_packed_size(rows, outputs);
    int apart = nn_depthwise(g);
    size_t list = nn_places_bytes(g, inputs), packed = apart ? 0 : (size_t)(g->groups * packed_group) * sizeof(float);
    char *memory = nn_alloc(list + packed);
    if (!memory) return NN_NOMEM;
    float *weights = (float *)(memory + list);
    nn_correlation c = {
        .y = y, .x = x, .weights = apart ? w : weights, .bias = bias, .images = g->b, .lines = g->p, .pixels = g->q,
        .y_image = g->p * g->q * g->o, .y_line = g->q * g->o, .y_pixel = g->o, .h = g->h, .w = g->w, .c = g->c,
        .step_h = g->stride_h, .step_w = g->stride_w, .groups = g->groups, .inputs = inputs, .outputs = outputs,
        .rows = rows, .depthwise = apart, .f = f, .attr = attr, .moments = moments,
        .places = (nn_place *)memory, .wide = wide_lines(g->b, g->p, g->q, outputs),
    };
    int joined = g->groups == 1 && g->dilation_w == 1 && g->s * g->c <= DEPTH && !nn_small_map(g->b, g->p * g->q);
    for (int64_t r = 0; r < g->r; r++)
        for (int64_t s = 0; s < (joined ? 1 : g->s); s++)
            nn_add_place(&c, r * g->dilation_h - g->top, s * g->dilation_w - g->left, (r * g->s + s) * inputs,
                      joined ? g->s * g->c : inputs);
    if (!apart)
        for (int64_t i = 0; i < g->groups; i++)
            nn_k->gemm_pack_b(weights + i * packed_group, w + i * outputs, g->o, rows, outputs, c.wide);
    int status = nn_correlate(&c);
    nn_free(memory, list + packed);
    return status;
}

/* ---- the gradient of the input, or a transposed convolution ------------------------------------------------------ */

/* dx[b,h,w,c] (+)= sum over the p q r s with p*stride_h + r*dilation_h - top = h ... of dy * w (+ bias[c]).
 * Pixels whose h and w leave the same rest when divided by the strides see the same places of the window. */
static int backward(const nn_conv *g, float *dx, const float *dy, const float *w, const float *bias, int acc)
{
    int64_t inputs = g->o / g->groups, outputs = g->c / g->groups, window = g->r * g->s, rows = window * inputs;
    int64_t packed_group = nn_packed_size(rows, outputs);
    int apart = nn_depthwise(g), wide = wide_lines(g->b, g->h / g->stride_h, ceil_div(g->w, g->stride_w), outputs);
    size_t list = nn_places_bytes(g, inputs), packed = apart ? 0 : (size_t)(g->groups * packed_group) * sizeof(float);
    size_t turned = apart ? 0 : (size_t)(rows * outputs) * sizeof(float);
    char *memory = nn_alloc(list + packed + turned);
    if (!memory) return NN_NOMEM;
    float *weights = (float *)(memory + list), *scratch = (float *)(memory + list + packed);
    for (int64_t i = 0; i < g->groups && !apart; i++) {
        for (int64_t t = 0; t < window; t++) /* [c,o] -> [o,c] */
            nn_k->transpose4(scratch + t * inputs * outputs, outputs, w + t * outputs * g->o + i * inputs, g->o, inputs,
                             outputs);
        nn_k->gemm_pack_b(weights + i * packed_group, scratch, outputs, rows, outputs, wide);
    }
    int status = NN_OK;
    for (int64_t phase = 0; phase < g->stride_h * g->stride_w && status == NN_OK; phase++) {
        int64_t h = phase / g->stride_w, v = phase % g->stride_w;
        nn_correlation c = {
            .y = dx + (h * g->w + v) * g->c, .x = dy, .weights = apart ? w : weights, .bias = bias, .images = g->b,
            .lines = ceil_div(g->h - h, g->stride_h), .pixels = ceil_div(g->w - v, g->stride_w),
            .y_image = g->h * g->w * g->c, .y_line = g->stride_h * g->w * g->c, .y_pixel = g->stride_w * g->c,
            .h = g->p, .w = g->q, .c = g->o, .step_h = 1, .step_w = 1, .groups = g->groups, .inputs = inputs,
            .outputs = outputs, .rows = rows, .depthwise = apart, .acc = acc, .wide = wide,
            .places = (nn_place *)memory,
        };
        if (h >= g->h || v >= g->w) continue;
        for (int64_t t = window - 1; t >= 0; t--) { /* from left to right in dy */
            int64_t p = h + g->top - t / g->s * g->dilation_h, q = v + g->left - t % g->s * g->dilation_w;
            if (p % g->stride_h == 0 && q % g->stride_w == 0)
                nn_add_place(&c, p / g->stride_h, q / g->stride_w, apart ? t : t * inputs, apart ? 1 : inputs);
        }
        status = nn_correlate(&c);
    }
    nn_free(memory, list + packed + turned);
    return status;
}

/* ---- which way --------------------------------------------------------------------------------------------------- */

static _Atomic int algorithm = NN_CONV_AUTO;

void nn_conv_algorithm_set(int a) { algorithm = a; }
int nn_conv_algorithm_get(void) { return algorithm; }

/* Whether it could be Winograd's. */
static int winograd_shape(const nn_conv *g)
{
    return (g->r == 3 || g->r == 5) && g->s == g->r && g->stride_h == 1 && g->stride_w == 1 && g->dilation_h == 1 &&
           g->dilation_w == 1 && g->groups == 1 && g->top >= 0 && g->left >= 0 && g->top < g->r && g->left < g->s &&
           g->b && g->h && g->w && g->c && g->p && g->q && g->o;
}

/* Whether it is Winograd's: 36 multiplications for 4 x 4 pixels instead of 144 (windows of 3 x 3), or for 2 x 2 instead
 * of 100 (5 x 5). With few channels in, the transforms cost what the products save; with few channels out both ways
 * compute lanes for nothing. Few pixels do not repay the transform of the weights, and of small maps most of a tile is
 * wasted, where the direct way leaves out the borders. */
static int winograd(const nn_conv *g)
{
    if (!winograd_shape(g)) return 0;
    return algorithm == NN_CONV_WINOGRAD ||
           (algorithm == NN_CONV_AUTO && g->c >= WINOGRAD_CHANNELS && min(g->p, g->q) >= max(g->r, WINOGRAD_MAP) &&
            g->b * g->p * g->q >= WINOGRAD_PIXELS);
}

/* The gradient of the input as a convolution of dy, stride 1: what is left of the window's reach beyond the padding is
 * its padding. */
static nn_conv turned(const nn_conv *g)
{
    nn_conv t = *g;
    t.h = g->p, t.w = g->q, t.c = g->o, t.p = g->h, t.q = g->w, t.o = g->c;
    t.top = g->r - 1 - g->top, t.left = g->s - 1 - g->left;
    return t;
}

/* ---- ops --------------------------------------------------------------------------------------------------------- */

static nn_conv geometry(const nn_call *call, const nn_view *x, const nn_view *y, const nn_view *w)
{
    uint64_t steps = (uint64_t)call->a.i[2], edges = (uint64_t)call->a.i[3];
    return (nn_conv){
        .b = x->n[0], .h = x->n[1], .w = x->n[2], .c = x->n[3], .p = y->n[1], .q = y->n[2], .o = y->n[3],
        .r = w->n[0], .s = w->n[1], .stride_h = steps & 0xffff, .stride_w = steps >> 16 & 0xffff,
        .dilation_h = steps >> 32 & 0xffff, .dilation_w = steps >> 48, .top = edges & 0xffff,
        .left = edges >> 16 & 0xffff, .groups = edges >> 32,
    };
}

int nn_conv_fusion(const nn_call *call, const nn_view *x, const nn_view *y, const nn_view *w)
{
    nn_conv g = geometry(call, x, y, w), t = turned(&g);
    int loads = winograd_shape(&g), both = loads && winograd_shape(&t) && nn_winograd_fits_both(&g);
    return (loads ? NN_LOADS_NORM : 0) | (both ? NN_BOTH_GRADS : 0) | (winograd(&g) ? NN_CHOSEN : 0) |
           (winograd(&t) ? NN_CHOSEN_DX : 0);
}

/* The norm of a call's x, its columns at v[k]; NULL: there is none */
static const nn_norm *norm_of(const nn_call *call, int k, nn_norm *norm)
{
    if (!(call->flags & NN_NORM)) return NULL;
    *norm = (nn_norm){.columns = (const float *)call->v[k].p, .apart = call->v[k].n[1],
                      .relu = (call->flags & NN_RELU) != 0};
    return norm;
}

/* first: where x stands, then w, bias and norm; moments: of y, or NULL */
static int convolve(const nn_call *call, int first, nn_moments *moments)
{
    const nn_view *y = &call->v[0], *x = call->v + first, *w = x + 1;
    nn_conv g = geometry(call, x, y, w);
    nn_norm room;
    const nn_norm *norm = norm_of(call, first + 3, &room);
    const float *bias = call->nv > first + 2 ? (const float *)x[2].p : NULL;
    nn_unary_fn *f = call->a.i[0] < 0 ? NULL : nn_k->unary[call->a.i[0]];
    float *to = (float *)y->p;
    if (moments && nn_count(y) == 0) nn_k->fill(moments->stats, NAN, 3 * moments->c);
    if (norm || winograd(&g))
        return nn_winograd(to, (const float *)x->p, (const float *)w->p, bias, &g, 0, 0, f, call->a.f + 2, moments,
                           norm);
    if (pointwise(&g)) {
        int64_t pixels = g.b * g.p * g.q;
        int status = nn_product(to, (const float *)x->p, (const float *)w->p, bias, pixels, g.o, g.c, 0, 0, 0, f,
                                call->a.f + 2);
        return status != NN_OK || !moments ? status : nn_moments_of(moments->stats, to, pixels, g.o);
    }
    if (nn_depthwise3_fits(&g))
        return nn_depthwise3(&g, to, (const float *)x->p, (const float *)w->p, bias, f, call->a.f + 2, moments);
    return forward(&g, to, (const float *)x->p, (const float *)w->p, bias, f, call->a.f + 2, moments);
}

int nn_op_conv(const nn_call *call) { return convolve(call, 1, NULL); }

int nn_op_conv_moments(const nn_call *call)
{
    nn_moments moments = {.stats = (float *)call->v[1].p, .c = call->v[0].n[3]};
    return convolve(call, 2, &moments);
}

int nn_op_conv_dx(const nn_call *call)
{
    const nn_view *dx = &call->v[0], *dy = &call->v[1], *w = &call->v[2];
    nn_conv g = geometry(call, dx, dy, w), t = turned(&g);
    int acc = call->flags & NN_ACC, status;
    const float *bias = call->nv > 3 ? (const float *)call->v[3].p : NULL;
    if (pointwise(&g))
        status = nn_product((float *)dx->p, (const float *)dy->p, (const float *)w->p, bias, g.b * g.p * g.q, g.c,
                            g.o, 0, 1, acc, NULL, NULL);
    else if (winograd(&t))
        status = nn_winograd((float *)dx->p, (const float *)dy->p, (const float *)w->p, bias, &t, 1, acc, NULL, NULL,
                             NULL, NULL);
    else if (nn_depthwise3_fits(&g))
        status = nn_depthwise3_dx(&g, (float *)dx->p, (const float *)dy->p, (const float *)w->p, bias, acc);
    else status = backward(&g, (float *)dx->p, (const float *)dy->p, (const float *)w->p, bias, acc);
    if (status != NN_OK || call->a.i[0] < 0) return status;
    nn_call f = {.op = NN_OP_unary, .nv = 2, .nout = 1, .v = {*dx, *dx}, .a = call->a};
    return nn_op_unary(&f);
}

int nn_op_conv_dw(const nn_call *call)
{
    const nn_view *dw = &call->v[0], *x = &call->v[1], *dy = &call->v[2];
    nn_conv g = geometry(call, x, dy, dw);
    int acc = call->flags & NN_ACC;
    nn_norm room;
    const nn_norm *norm = norm_of(call, 3, &room);
    if (norm || winograd(&g))
        return nn_winograd_dw((float *)dw->p, (const float *)x->p, (const float *)dy->p, &g, acc, norm);
    if (pointwise(&g))
        return nn_product((float *)dw->p, (const float *)x->p, (const float *)dy->p, NULL, g.c, g.o, g.b * g.p * g.q,
                          1, 0, acc, NULL, NULL);
    if (nn_count(dw) == 0) return NN_OK;
    if (nn_count(dy) == 0) {
        if (!acc) nn_k->fill((float *)dw->p, 0, nn_count(dw));
        return NN_OK;
    }
    if (nn_depthwise3_fits(&g))
        return nn_depthwise3_dw(&g, (float *)dw->p, (const float *)x->p, (const float *)dy->p, acc);
    return nn_conv_weights(&g, (float *)dw->p, (const float *)x->p, (const float *)dy->p, acc);
}

int nn_op_conv_grads(const nn_call *call)
{
    const nn_view *dx = &call->v[0], *dw = &call->v[1], *dy = &call->v[4];
    const float *x = (const float *)call->v[3].p, *columns = (const float *)call->v[7].p;
    nn_conv g = geometry(call, dx, dy, dw);
    int64_t apart = (g.o + 15) / 16 * 16;
    int relu = (call->flags & NN_RELU) != 0;
    nn_norm behind = {.columns = columns, .apart = apart, .z = (const float *)call->v[6].p,
                      .relu = (call->flags & NN_MASK) != 0};
    nn_norm norm = {.columns = columns + 5 * apart, .apart = (g.c + 15) / 16 * 16, .relu = relu};
    const float *front = call->nv > 8 ? (const float *)call->v[8].p : NULL;
    nn_grad_sums sums = {.total = (double *)call->v[2].p, .x = front ? front : x, .y = front ? x : NULL,
                         .columns = norm.columns, .columns_apart = norm.apart, .c = g.c, .relu = relu};
    nn_winograd_both both = {
        .dx = (float *)dx->p, .dw = (float *)dw->p, .x = x, .dy = (const float *)dy->p,
        .w = (const float *)call->v[5].p, .norm = call->flags & NN_NORM ? &norm : NULL, .norm_dy = &behind,
        .acc_dx = call->flags & NN_ACC, .acc_dw = (call->flags & NN_ACC_DW) != 0, .sums = sums.total ? &sums : NULL,
    };
    return nn_winograd_grads(&both, &g);
}
