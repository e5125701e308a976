/* Random numbers: kernels/random.h says which element of which call gets which number; here calls are counted and cut.
 *
 * The state is two words, seed and number of calls so far. An op takes the call's number and counts on, so a replayed
 * program draws new numbers, and a mask can be had again from the pair (dropout's key) instead of being kept.
 */
#include <math.h>
#include "kernels/kernels.h"
#include "par.h"

typedef struct {
    const nn_call *c;
    const float *x;  /* dropout: what goes in */
    uint64_t key[2]; /* seed, call */
    int64_t n;
    float a, b, last;
    uint32_t dropped;
} stream;

static void take_key(uint64_t key[2], const nn_view *state)
{
    uint64_t *s = (uint64_t *)state->p;
    key[0] = s[0];
    key[1] = s[1]++;
}

static float *at(const stream *s, int v, int64_t task) { return (float *)s->c->v[v].p + task * NN_CHUNK; }
static int64_t length(const stream *s, int64_t task)
{
    int64_t left = s->n - task * NN_CHUNK;
    return left < NN_CHUNK ? left : NN_CHUNK;
}
static int run(stream *s, nn_task_fn *fn, double ns_per_element)
{
    if (s->n) nn_for(nn_chunks(s->n), s->n * ns_per_element, fn, s);
    return NN_OK;
}

/* y = x / (1 - p) with probability 1 - p, else 0 (NaN where x is not finite). p is rounded to a multiple of 2^-32. */
static void dropout_task(void *arg, int64_t task, int worker)
{
    (void)worker;
    stream *s = arg;
    int64_t first = task * NN_CHUNK;
    nn_k->random_dropout(at(s, 0, task), s->x + first, s->a, s->dropped, s->key[0], s->key[1], first, length(s, task));
}
static int dropout(stream *s, const nn_view *x, float p)
{
    s->x = (const float *)x->p;
    s->a = p < 1 ? 1 / (1 - p) : 0;
    s->dropped = p < 1 ? (uint32_t)(p * 0x1p32) : 0;
    return run(s, dropout_task, 0.25);
}
int nn_op_dropout(const nn_call *c)
{
    stream s = {.c = c, .n = nn_count(&c->v[0])};
    take_key(s.key, &c->v[3]);
    uint64_t *key = (uint64_t *)c->v[1].p;
    key[0] = s.key[0];
    key[1] = s.key[1];
    return dropout(&s, &c->v[2], c->a.f[0]);
}
int nn_op_dropout_grad(const nn_call *c)
{
    const uint64_t *key = (const uint64_t *)c->v[2].p;
    stream s = {.c = c, .n = nn_count(&c->v[0]), .key = {key[0], key[1]}};
    return dropout(&s, &c->v[1], c->a.f[0]);
}

static void uniform_task(void *arg, int64_t task, int worker)
{
    (void)worker;
    stream *s = arg;
    nn_k->random_uniform(at(s, 0, task), s->a, s->b, s->last, s->key[0], s->key[1], task * NN_CHUNK, length(s, task));
}
/* low + (high - low) u, and never `high` itself, to which that may round. high - low must be finite. */
int nn_op_uniform(const nn_call *c)
{
    float low = c->a.f[0], high = c->a.f[1];
    stream s = {.c = c, .n = nn_count(&c->v[0]), .a = low, .b = high - low};
    s.last = low < high ? nextafterf(high, low) : low;
    take_key(s.key, &c->v[1]);
    return run(&s, uniform_task, 0.25);
}

static void normal_task(void *arg, int64_t task, int worker)
{
    (void)worker;
    stream *s = arg;
    nn_k->random_normal(at(s, 0, task), s->a, s->b, s->key[0], s->key[1], task * NN_CHUNK, length(s, task));
}
int nn_op_normal(const nn_call *c)
{
    stream s = {.c = c, .n = nn_count(&c->v[0]), .a = c->a.f[0], .b = c->a.f[1]};
    take_key(s.key, &c->v[1]);
    return run(&s, normal_task, 0.6);
}

/* The words of a call one after another, for serial use. */
typedef struct {
    uint64_t key[2];
    int64_t next;
    uint32_t word[256];
} words;

static uint32_t next_word(words *w)
{
    int64_t i = w->next++ % 256;
    if (i == 0) nn_k->random_words(w->word, w->key[0], w->key[1], w->next - 1, 256);
    return w->word[i];
}
/* A number below n, each as likely: multiply and reject the few products that would favour some (Lemire, 2019). */
static uint64_t below(words *w, uint64_t n)
{
    if (n >> 32) {
        for (;;) {
            uint64_t r = next_word(w);
            r = r << 32 | next_word(w);
            unsigned __int128 product = (unsigned __int128)r * n;
            if ((uint64_t)product >= n || (uint64_t)product >= -n % n) return product >> 64;
        }
    }
    for (;;) {
        uint64_t product = next_word(w) * n;
        if ((uint32_t)product >= n || (uint32_t)product >= -(uint32_t)n % (uint32_t)n) return product >> 32;
    }
}

/* y = 0 .. n-1 in random order: Fisher and Yates, from the inside out. Serial, O(n). */
int nn_op_permutation(const nn_call *c)
{
    int64_t *y = (int64_t *)c->v[0].p, n = nn_count(&c->v[0]);
    words w = {.next = 0};
    take_key(w.key, &c->v[1]);
    for (int64_t i = 0; i < n; i++) {
        int64_t j = below(&w, i + 1);
        y[i] = y[j];
        y[j] = i;
    }
    return NN_OK;
}
