/* Each image of a batch mixed with the one before it, the first with the last: mixup (Zhang, Cisse, Dauphin and
 * Lopez-Paz, 2018) adds the two, CutMix (Yun, Han, Oh, Chun, Choe and Yoo, 2019) puts a box of one into the other. The
 * targets are mixed in the same shares. One share for the whole batch, from 64 words of the random stream: those of the
 * number of the batch's first image (state[2], which is counted on).
 */
#include <math.h>
#include <string.h>
#include "kernels/kernels.h"
#include "par.h"

enum { P_MIXUP, MIXUP_ALPHA, P_CUTMIX, CUTMIX_ALPHA };
enum { WORD_KIND, WORD_ACROSS, WORD_DOWN, WORD_FIRST = 4, WORD_SECOND = 34, WORDS = 64, TRIES = 9 };
enum { COPY, ADD, BOX };

typedef struct {
    const nn_call *c;
    int64_t b, h, w, k, group; /* k: channels */
    int kind;
    double share;              /* of the image itself; the rest is the other's */
    int64_t top, left, bottom, right;
} mixture;

static double fraction(uint32_t word) { return (word + 0.5) * 0x1p-32; } /* never 0 or 1 */
static int64_t below(uint32_t word, int64_t n) { return (int64_t)((uint64_t)word * (uint64_t)n >> 32); }

/* The logarithm of a number with the gamma distribution (Marsaglia and Tsang, 2000). One try in twenty fails at most;
 * in the one case in 10^11 where all nine do, the result is the distribution's median, nearly. */
static double log_gamma_number(double alpha, const uint32_t *word)
{
    double boost = alpha < 1 ? log(fraction(word[3 * TRIES])) / alpha : 0;
    double d = (alpha < 1 ? alpha + 1 : alpha) - 1.0 / 3, step = 1 / sqrt(9 * d);
    for (int t = 0; t < TRIES; t++, word += 3) {
        double x = sqrt(-2 * log(fraction(word[0]))) * cos(6.283185307179586 * fraction(word[1]));
        double v = 1 + step * x;
        v = v * v * v;
        if (v > 0 && log(fraction(word[2])) < 0.5 * x * x + d - d * v + d * log(v)) return log(d * v) + boost;
    }
    return log(d) + boost;
}

/* A number with the distribution Beta(alpha, alpha). */
static double beta_number(double alpha, const uint32_t *word)
{
    return 1 / (1 + exp(log_gamma_number(alpha, word + WORD_SECOND) - log_gamma_number(alpha, word + WORD_FIRST)));
}

static void decide(mixture *m, const double *s, const uint32_t *word)
{
    double u = fraction(word[WORD_KIND]);
    m->kind = u < s[P_MIXUP] ? ADD : u < s[P_MIXUP] + s[P_CUTMIX] ? BOX : COPY;
    m->share = m->kind == COPY ? 1 : beta_number(s[m->kind == ADD ? MIXUP_ALPHA : CUTMIX_ALPHA], word);
    if (m->kind != BOX) return;
    double reach = 0.5 * sqrt(1 - m->share);
    int64_t x = below(word[WORD_ACROSS], m->w), y = below(word[WORD_DOWN], m->h);
    int64_t width = (int64_t)(reach * (double)m->w), height = (int64_t)(reach * (double)m->h);
    m->top = y > height ? y - height : 0;
    m->left = x > width ? x - width : 0;
    m->bottom = y + height < m->h ? y + height : m->h;
    m->right = x + width < m->w ? x + width : m->w;
    m->share = 1 - (double)((m->bottom - m->top) * (m->right - m->left)) / (double)(m->h * m->w);
}

static void task(void *arg, int64_t t, int worker)
{
    const mixture *m = arg;
    (void)worker;
    int64_t end = (t + 1) * m->group < m->b ? (t + 1) * m->group : m->b, f = m->h * m->w * m->k;
    for (int64_t i = t * m->group; i < end; i++) {
        float *y = (float *)m->c->v[0].p + i * f;
        const float *x = (const float *)m->c->v[3].p + i * f, *other = x + (i ? -f : (m->b - 1) * f);
        if (m->kind == ADD) nn_k->mix(y, x, other, (float)m->share, f);
        else memcpy(y, x, (size_t)f * sizeof *y);
        for (int64_t r = m->top; r < m->bottom; r++)
            memcpy(y + (r * m->w + m->left) * m->k, other + (r * m->w + m->left) * m->k,
                   (size_t)((m->right - m->left) * m->k) * sizeof *y);
    }
}

static void mix_targets(const mixture *m, float *t, const nn_view *target, int64_t n)
{
    float share = (float)m->share, rest = (float)(1 - m->share);
    const int64_t *label = (const int64_t *)target->p;
    const float *p = (const float *)target->p;
    if (target->dtype == NN_I64) memset(t, 0, (size_t)(m->b * n) * sizeof *t);
    for (int64_t i = 0; i < m->b; i++) {
        int64_t other = i ? i - 1 : m->b - 1;
        if (target->dtype == NN_I64) {
            t[i * n + label[i]] += share;
            t[i * n + label[other]] += rest;
        } else if (m->kind == COPY)
            memcpy(t + i * n, p + i * n, (size_t)n * sizeof *t);
        else
            nn_k->mix(t + i * n, p + i * n, p + other * n, share, n);
    }
}

int nn_op_mix(const nn_call *c)
{
    const nn_view *x = &c->v[3], *target = &c->v[4];
    uint64_t *state = (uint64_t *)c->v[2].p;
    uint32_t word[WORDS];
    int64_t n = c->v[1].n[1];
    mixture m = {.c = c, .b = x->n[0], .h = x->n[1], .w = x->n[2], .k = x->n[3]};
    if (target->dtype == NN_I64)
        for (int64_t i = 0; i < m.b; i++) {
            nn_bad_index = ((const int64_t *)target->p)[i];
            if (nn_bad_index < 0 || nn_bad_index >= n) return NN_BADINDEX;
        }
    nn_k->random_words(word, state[0], state[1], (int64_t)(state[2] * WORDS), WORDS);
    state[2] += (uint64_t)m.b;
    decide(&m, (const double *)c->v[5].p, word);
    mix_targets(&m, (float *)c->v[1].p, target, n);
    int64_t f = m.h * m.w * m.k;
    m.group = NN_CHUNK / (f + 1) + 1;
    nn_for((m.b + m.group - 1) / m.group, 0.1 * (double)(m.b * f), task, &m);
    return NN_OK;
}
