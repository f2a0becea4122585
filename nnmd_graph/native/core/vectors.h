// Vectors of numbers that the processor works on at once, in the extension that GCC and Clang share.
//
// A Vec<T> is NNMD_VECTOR_BYTES wide; arrays that are walked with it start at multiples of 64 bytes
// and are as long as a multiple of `lanes<T>`.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#if !defined(NNMD_VECTOR_BYTES)
#if defined(__AVX512F__)
#define NNMD_VECTOR_BYTES 64
#elif defined(__AVX2__)
#define NNMD_VECTOR_BYTES 32
#else
#define NNMD_VECTOR_BYTES 16
#endif
#endif

#define INLINE inline __attribute__((always_inline))

namespace nnmd {

template <class T>
struct VecOf;
template <>
struct VecOf<double> {
  typedef double type __attribute__((vector_size(NNMD_VECTOR_BYTES)));
  typedef int64_t bits __attribute__((vector_size(NNMD_VECTOR_BYTES)));
};
template <>
struct VecOf<float> {
  typedef float type __attribute__((vector_size(NNMD_VECTOR_BYTES)));
  typedef int32_t bits __attribute__((vector_size(NNMD_VECTOR_BYTES)));
};
template <class T>
using Vec = typename VecOf<T>::type;
template <class T>
using Bits = typename VecOf<T>::bits;  // of comparisons: all ones where they hold

template <class T>
constexpr int lanes = NNMD_VECTOR_BYTES / sizeof(T);

template <class T>
constexpr int whole(int n) {  // the next multiple of the lanes
  return (n + lanes<T> - 1) / lanes<T> * lanes<T>;
}

template <class T>
INLINE Vec<T> load(const T* p) {
  Vec<T> v;
  memcpy(&v, p, sizeof v);
  return v;
}

template <class T>
INLINE void store(T* p, Vec<T> v) {
  memcpy(p, &v, sizeof v);
}

template <class T>
INLINE void add_to(T* p, Vec<T> v) {
  store<T>(p, load<T>(p) + v);
}

template <class T>
INLINE Vec<T> all(T x) {
  return Vec<T>{} + x;
}

template <class T>
INLINE T sum_of(Vec<T> v) {
  T sum = 0;
  for (int i = 0; i < lanes<T>; ++i) sum += v[i];
  return sum;
}

template <class T>
INLINE Vec<T> root(Vec<T> x) {
#if defined(__AVX512F__) && NNMD_VECTOR_BYTES == 64
  if constexpr (sizeof(T) == 8) return (Vec<T>)_mm512_sqrt_pd((__m512d)x);
  else return (Vec<T>)_mm512_sqrt_ps((__m512)x);
#elif defined(__AVX2__) && NNMD_VECTOR_BYTES == 32
  if constexpr (sizeof(T) == 8) return (Vec<T>)_mm256_sqrt_pd((__m256d)x);
  else return (Vec<T>)_mm256_sqrt_ps((__m256)x);
#else
  for (int i = 0; i < lanes<T>; ++i) x[i] = std::sqrt(x[i]);
  return x;
#endif
}

// One bit for each lane of a comparison.
template <class T>
INLINE unsigned mask_of(Bits<T> holds) {
#if defined(__AVX512F__) && NNMD_VECTOR_BYTES == 64
  if constexpr (sizeof(T) == 8) return _mm512_cmplt_epi64_mask((__m512i)holds, _mm512_setzero_si512());
  else return _mm512_cmplt_epi32_mask((__m512i)holds, _mm512_setzero_si512());
#elif defined(__AVX2__) && NNMD_VECTOR_BYTES == 32
  if constexpr (sizeof(T) == 8) return _mm256_movemask_pd((__m256d)holds);
  else return _mm256_movemask_ps((__m256)holds);
#else
  unsigned mask = 0;
  for (int i = 0; i < lanes<T>; ++i) mask |= unsigned(holds[i] & 1) << i;
  return mask;
#endif
}

// -- compress: the lanes of a mask, side by side; expand: back to their lanes, zero elsewhere ------
#if defined(__AVX512F__) && NNMD_VECTOR_BYTES == 64

INLINE Vec<double> compress(unsigned m, Vec<double> v) {
  return (Vec<double>)_mm512_maskz_compress_pd(m, (__m512d)v);
}
INLINE Vec<float> compress(unsigned m, Vec<float> v) {
  return (Vec<float>)_mm512_maskz_compress_ps(m, (__m512)v);
}
INLINE Vec<double> expand(unsigned m, const double* p) {
  return (Vec<double>)_mm512_maskz_expand_pd(m, _mm512_loadu_pd(p));
}
INLINE Vec<float> expand(unsigned m, const float* p) {
  return (Vec<float>)_mm512_maskz_expand_ps(m, _mm512_loadu_ps(p));
}

#elif defined(__AVX2__) && NNMD_VECTOR_BYTES == 32

// Which 32-bit word goes where, for each mask; AVX2 has no instruction of its own for it.
struct Moves {
  alignas(32) uint32_t in8[256][8], out8[256][8], in4[16][8], out4[16][8];

  Moves() {
    fill(in8, out8, 8, 1);
    fill(in4, out4, 4, 2);
  }

  static void fill(uint32_t (*in)[8], uint32_t (*out)[8], int num_lanes, int words) {
    for (int m = 0; m < 1 << num_lanes; ++m) {
      int count = 0;
      for (int w = 0; w < 8; ++w) in[m][w] = 0;
      for (int lane = 0; lane < num_lanes; ++lane) {
        const bool there = m >> lane & 1;
        for (int w = 0; w < words; ++w) {
          if (there) in[m][words * count + w] = words * lane + w;
          out[m][words * lane + w] = words * std::min(count, num_lanes - 1) + w;
        }
        count += there;
      }
    }
  }
};
inline const Moves moves;

INLINE __m256 permuted(__m256 v, const uint32_t* order) {
  return _mm256_permutevar8x32_ps(v, _mm256_load_si256((const __m256i*)order));
}
INLINE __m256 lanes_in(unsigned m, __m256i bit) {
  return (__m256)_mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(m), bit), bit);
}
INLINE Vec<double> compress(unsigned m, Vec<double> v) {
  return (Vec<double>)permuted((__m256)v, moves.in4[m]);
}
INLINE Vec<float> compress(unsigned m, Vec<float> v) {
  return (Vec<float>)permuted((__m256)v, moves.in8[m]);
}
INLINE Vec<double> expand(unsigned m, const double* p) {
  const __m256i bit = _mm256_setr_epi32(1, 1, 2, 2, 4, 4, 8, 8);
  const __m256 v = permuted(_mm256_loadu_ps((const float*)p), moves.out4[m]);
  return (Vec<double>)_mm256_and_ps(v, lanes_in(m, bit));
}
INLINE Vec<float> expand(unsigned m, const float* p) {
  const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  return (Vec<float>)_mm256_and_ps(permuted(_mm256_loadu_ps(p), moves.out8[m]), lanes_in(m, bit));
}

#else

template <class V>
INLINE V compressed(unsigned m, V v, int num_lanes) {
  V packed{};
  for (int i = 0, count = 0; i < num_lanes; ++i)
    if (m >> i & 1) packed[count++] = v[i];
  return packed;
}
template <class V, class T>
INLINE V expanded(unsigned m, const T* p, int num_lanes) {
  V v{};
  for (int i = 0; i < num_lanes; ++i)
    if (m >> i & 1) v[i] = *p++;
  return v;
}
INLINE Vec<double> compress(unsigned m, Vec<double> v) { return compressed(m, v, lanes<double>); }
INLINE Vec<float> compress(unsigned m, Vec<float> v) { return compressed(m, v, lanes<float>); }
INLINE Vec<double> expand(unsigned m, const double* p) {
  return expanded<Vec<double>>(m, p, lanes<double>);
}
INLINE Vec<float> expand(unsigned m, const float* p) {
  return expanded<Vec<float>>(m, p, lanes<float>);
}

#endif

// An array that starts at a multiple of 64 bytes, and only grows.
template <class T>
class Array {
 public:
  T* room_for(size_t n) {
    if (n > size_) {
      size_ = n + n / 4;
      data_.reset(new (std::align_val_t(64)) T[size_]());
    }
    return data_.get();
  }
  T* get() const { return data_.get(); }

 private:
  struct Free {
    void operator()(T* p) const { operator delete[](p, std::align_val_t(64)); }
  };
  size_t size_ = 0;
  std::unique_ptr<T[], Free> data_;
};

}  // namespace nnmd
