#include "kernels/kernels.h"
int nn_op_dropout(const nn_call*c){(void)c;return NN_NOMEM;}
int nn_op_dropout_grad(const nn_call*c){(void)c;return NN_NOMEM;}
int nn_op_uniform(const nn_call*c){ float*y=(float*)c->v[0].p; uint64_t*s=(uint64_t*)c->v[1].p; int64_t n=nn_count(&c->v[0]); for(int64_t i=0;i<n;i++){ s[0]=s[0]*6364136223846793005ull+1442695040888963407ull; y[i]=c->a.f[0]+(c->a.f[1]-c->a.f[0])*((s[0]>>40)*0x1p-24f);} return 0;}
int nn_op_normal(const nn_call*c){(void)c;return NN_NOMEM;}
int nn_op_permutation(const nn_call*c){(void)c;return NN_NOMEM;}
