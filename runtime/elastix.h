/* The C ABI of the Elastix runtime: what compiled host code and hand-written C hosts call. README.md beside this file is its contract.
 *
 * Counts, lengths and byte addresses are int64_t; flags, kinds and the bit patterns of fp32 attributes are int32_t; tensors are dense,
 * row-major, fp32 unless said. No function throws. Functions that take a device do nothing once it holds an error. */
#ifndef ELASTIX_H
#define ELASTIX_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ELASTIX_API __attribute__((visibility("default")))

/* What the descriptors in a device's memory were made for (compiler/processor/README.md): D, A, M, C and the activation buffer. */
typedef struct elastix_processor {
    int32_t beat;            /* D: 64, 128, 256 or 512 bits */
    int32_t activation_bits; /* A: 8 to 12 */
    int32_t lanes;           /* M: 1 to 15 tokens a launch */
    int32_t channels;        /* C: 1 to 63 */
    int32_t max_tiles;       /* tiles of 32 columns that the activation buffer holds */
} elastix_processor;

/* Carries out the descriptor at byte address `descriptor` of `memory`: results are written into memory. Returns 0, or writes a message. */
typedef struct elastix_engine {
    void* self;
    int (*run)(void* self, uint8_t* memory, uint64_t size, uint64_t descriptor, char* error, size_t error_size);
} elastix_engine;

typedef struct elastix_device elastix_device;

/* A device of `size` zeroed bytes, aligned to 4096; the 64 bytes at `scratch` hold the descriptor of the launch in progress. Its engine
 * is the emulator. NULL when the parameters are out of range or memory is short. */
ELASTIX_API elastix_device* elastix_device_create(const elastix_processor* processor, int64_t size, int64_t scratch);
ELASTIX_API void elastix_device_destroy(elastix_device* device);
ELASTIX_API uint8_t* elastix_device_memory(elastix_device* device);
/* The engine must outlive its use; NULL goes back to the emulator. */
ELASTIX_API void elastix_device_set_engine(elastix_device* device, const elastix_engine* engine);
/* The first error, or NULL. */
ELASTIX_API const char* elastix_device_error(const elastix_device* device);

/* The step processor (compiler/processor/step/README.md), whole decode steps at once. `activation` is a kind of elastix_activation, or −1
 * for none; `features` has a bit for each of FEATURES in compiler/processor/step/parameters.py, the first in bit 0. */
typedef struct elastix_step_parameters {
    elastix_processor matrix;
    int32_t vector_elements, constant_elements; /* of the two memories */
    int32_t max_context;                        /* rows of a cache */
    int32_t head_dim, kv_heads, group;          /* elements of a row, heads of keys and values, queries to each */
    int32_t vector_lanes, attention_channels;   /* rows of a cache are dealt to channels in words of so many */
    int32_t activation, features;
} elastix_step_parameters;

typedef struct elastix_step elastix_step;

/* The emulator of a step processor; NULL when the parameters are out of range or there is too little to allocate. */
ELASTIX_API elastix_step* elastix_step_create(const elastix_step_parameters* parameters);
ELASTIX_API void elastix_step_destroy(elastix_step* step);
/* Carries out the program at byte address `program` of a memory of `size` bytes for `count` tokens, the first at `position`, and gives the
 * arg max of each. The caches lie in the memory. Returns 0, or 1 and then elastix_step_error says why, until the next run. */
ELASTIX_API int32_t elastix_step_run(elastix_step* step, uint8_t* memory, uint64_t size, uint64_t program, const int64_t* tokens,
                                     int64_t count, int64_t position, int64_t* arg_max);
ELASTIX_API const char* elastix_step_error(const elastix_step* step);

/* Matrix work. */
ELASTIX_API void elastix_quantize(elastix_device* device, const float* x, int64_t tokens, int64_t k, int64_t activation_bits,
                                  int64_t x_address);
ELASTIX_API void elastix_launch(elastix_device* device, int64_t descriptor, int64_t tokens);
ELASTIX_API void elastix_wait(elastix_device* device);
ELASTIX_API void elastix_read_back(elastix_device* device, int64_t y_address, float* y, int64_t tokens, int64_t n);
ELASTIX_API void elastix_embedding(elastix_device* device, int64_t descriptor, const int64_t* ids, float* y, int64_t count, int64_t k);

/* Host kernels: y may be x (and gate, and a). */
ELASTIX_API void elastix_add_bias(float* y, const float* bias, int64_t rows, int64_t n);
ELASTIX_API void elastix_rms_norm(const float* x, const float* weight, float* y, int64_t rows, int64_t k, int32_t eps);
ELASTIX_API void elastix_layer_norm(const float* x, const float* weight, const float* bias, float* y, int64_t rows, int64_t k,
                                    int32_t eps);
ELASTIX_API void elastix_rope(const float* x, const int64_t* positions, const float* inv_freq, float* y, int64_t batch, int64_t heads,
                              int64_t tokens, int64_t head_dim, int32_t scaling);
ELASTIX_API void elastix_cache_update(float* cache, const float* values, const int64_t* positions, int64_t batch, int64_t heads,
                                      int64_t length, int64_t tokens, int64_t head_dim);
ELASTIX_API void elastix_attention(const float* q, const float* k, const float* v, const int64_t* positions, const float* mask, float* y,
                                   int64_t batch, int64_t heads, int64_t kv_heads, int64_t tokens, int64_t length, int64_t head_dim,
                                   int32_t scale, int32_t causal);
/* Caches of codes, C12 and C13; bits 8 or 4, and 32 for fp32 without scales (null). Scales are bf16. */
ELASTIX_API void elastix_quantized_cache_update(uint8_t* cache, uint16_t* scales, const float* values, const int64_t* positions,
                                                int64_t batch, int64_t heads, int64_t length, int64_t tokens, int64_t head_dim,
                                                int64_t bits);
ELASTIX_API void elastix_quantized_attention(const float* q, const void* k, const uint16_t* k_scales, const void* v,
                                             const uint16_t* v_scales, const int64_t* positions, const float* mask, float* y, int64_t batch,
                                             int64_t heads, int64_t kv_heads, int64_t tokens, int64_t length, int64_t head_dim,
                                             int64_t key_bits, int64_t value_bits, int32_t scale, int32_t causal);
/* Each row times the Hadamard matrix of its width, a power of two, times `scale`. */
ELASTIX_API void elastix_hadamard(const float* x, float* y, int64_t rows, int64_t width, int32_t scale);
ELASTIX_API void elastix_gated_activation(const float* gate, const float* up, float* y, int64_t count, int32_t kind);
ELASTIX_API void elastix_activation(const float* x, float* y, int64_t count, int32_t kind);
ELASTIX_API void elastix_residual(const float* a, const float* b, float* y, int64_t count);
ELASTIX_API void elastix_copy(const void* from, void* to, int64_t bytes);
ELASTIX_API void elastix_transpose(const void* x, void* y, int64_t rank, const int64_t* shape, const int64_t* permutation,
                                   int64_t element_bytes);

#ifdef __cplusplus
}
#endif
#endif
