// The three operations at one centre: values x, the pullback of dE/dx, the change of x along u.
//
// With q the sides rho_b(r_ij) rho_b(r_ik), p = rho_b(r_jk) (one in wide sums):
//
//     value     G_ba = sum q p A_a
//     pullback  dE/dcos = sum_b q p sum_a w_ba dA_a/dcos      dE/dq = p sum_a w_ba A_a
//               2 dE/dr_jk^2 = sum_b q (dp/dr_jk / r_jk) sum_a w_ba A_a
//     change    dG_ba = sum (dq p + q dp) A_a + q p dcos dA_a/dcos
#pragma once

#include "pairs.h"

namespace nnmd {

template <class T>
struct Workspace {
  Rows<T> rows;
  Tables<T> tables;
  Strip<T> strip;
};

constexpr int MAX_TOGETHER = 8;  // functions whose sums stay in registers

// Call f(std::integral_constant) for n in 1 .. MAX_TOGETHER.
template <int N = MAX_TOGETHER, class F>
INLINE void for_number(int n, F f) {
  if constexpr (N > 1) {
    if (n < N) return for_number<N - 1>(n, f);
  }
  f(std::integral_constant<int, N>{});
}

// rho and its slope at the distances of a strip's pairs
template <class T, bool SLOPES>
void pair_distances(const RadialSet& set, Strip<T>& s, int n) {
  alignas(64) T r[STRIP];
  for (int i = 0; i < n; i += lanes<T>) store<T>(r + i, root<T>(load<T>(s.square + i)));
  radial_factors<T, SLOPES>(set, r, n, {s.rho, s.rho_slope, STRIP});
}

// sums[k] = sum_i x_i y_ki, the products of one array with several
template <class T, int N>
INLINE void products(const T* x, const T* const* y, int n, T* sums) {
  Vec<T> total[N]{};
  for (int i = 0; i < n; i += lanes<T>) {
    const Vec<T> xi = load<T>(x + i);
#pragma GCC unroll 8
    for (int k = 0; k < N; ++k) total[k] += xi * load<T>(y[k] + i);
  }
  for (int k = 0; k < N; ++k) sums[k] = sum_of<T>(total[k]);
}

// Add sum_i x_i A_ki, times the factors of value or slope, to the columns of the functions of one b.
template <class T>
void add_products(const std::vector<PairSum::Function>& functions,
                  const std::vector<int>& arrays, const std::vector<double>& factors,
                  const Strip<T>& s, const T* x, int n, double* out) {
  for (size_t first = 0; first < functions.size(); first += MAX_TOGETHER) {
    const int count = int(std::min<size_t>(MAX_TOGETHER, functions.size() - first));
    const T* y[MAX_TOGETHER];
    T sums[MAX_TOGETHER];
    for (int k = 0; k < count; ++k)
      y[k] = s.angular + size_t(arrays[functions[first + k].a]) * STRIP;
    for_number(count, [&](auto N) { products<T, decltype(N)::value>(x, y, n, sums); });
    for (int k = 0; k < count; ++k) {
      const auto& f = functions[first + k];
      out[f.column] += factors[f.a] * double(sums[k]);
    }
  }
}

// value_i += sum_k v_k A_ki and slope_i += sum_k s_k A'_ki
template <class T, int N>
INLINE void combine(const T* const* values, const T* const* slopes, const T* v, const T* s, int n,
                    bool first, T* value, T* slope) {
  for (int i = 0; i < n; i += lanes<T>) {
    Vec<T> x{}, y{};
    if (!first) x = load<T>(value + i), y = load<T>(slope + i);
#pragma GCC unroll 8
    for (int k = 0; k < N; ++k) {
      x += v[k] * load<T>(values[k] + i);
      y += s[k] * load<T>(slopes[k] + i);
    }
    store<T>(value + i, x);
    store<T>(slope + i, y);
  }
}

// sum_a w_ba A_a and sum_a w_ba dA_a/dcos of one b, into `value` and `slope` of the strip
template <class T>
void weighted_angles(const AngularSet& set, const std::vector<PairSum::Function>& functions,
                     const T* w, Strip<T>& s, int n) {
  for (size_t first = 0; first < functions.size(); first += MAX_TOGETHER / 2) {
    const int count = int(std::min<size_t>(MAX_TOGETHER / 2, functions.size() - first));
    const T *values[MAX_TOGETHER / 2], *slopes[MAX_TOGETHER / 2];
    T by_value[MAX_TOGETHER / 2], by_slope[MAX_TOGETHER / 2];
    for (int k = 0; k < count; ++k) {
      const auto& f = functions[first + k];
      values[k] = s.angular + size_t(set.value[f.a]) * STRIP;
      slopes[k] = s.angular + size_t(set.slope[f.a]) * STRIP;
      by_value[k] = T(set.value_factor[f.a]) * w[f.column];
      by_slope[k] = T(set.slope_factor[f.a]) * w[f.column];
    }
    for_number<MAX_TOGETHER / 2>(count, [&](auto N) {
      combine<T, decltype(N)::value>(values, slopes, by_value, by_slope, n, first == 0, s.value,
                                     s.slope);
    });
  }
}

// x [F], which is zero before; summed in float64
template <class T>
void values_at(const FunctionSet& set, Workspace<T>& work, double* x) {
  const Rows<T>& rows = work.rows;
  for (const RadialSum& sum : set.radial) {
    const Side<T>& side = work.tables[sum.table];
    for (size_t b = 0; b < sum.columns.size(); ++b) {
      const T* rho = side.rho.value + b * side.rho.stride;
      double total = 0;
      for (int i = side.begin; i < side.end; i += lanes<T>) total += sum_of<T>(load<T>(rho + i));
      x[sum.columns[b]] += total;
    }
  }
  for (const PairSum& sum : set.pairs) {
    const RadialSet& radial = set.sets[set.tables[sum.first].set];
    const AngularSet& angular = sum.angular;
    for_strips<T, false>(
        sum, radial, rows, work.tables[sum.first], work.tables[sum.second], work.strip,
        [&](Strip<T>& s) {
          const int n = whole<T>(s.count);
          if (sum.narrow) pair_distances<T, false>(radial, s, n);
          angular_factors<T>(angular, s.cos, n, s.angular);
          for (int b = 0; b < radial.size(); ++b) {
            T *sides = s.sides + b * STRIP, *rho = s.rho + b * STRIP;
            if (sum.narrow)
              for (int i = 0; i < n; i += lanes<T>)
                store<T>(sides + i, load<T>(sides + i) * load<T>(rho + i));
            add_products<T>(sum.functions[b], angular.value, angular.value_factor, s,
                            sides, n, x);
          }
        });
  }
}

// Add dE/dvec of w = dE/dx [F] to the rows' gradient, which is zero before.
template <class T>
void pullback_at(const FunctionSet& set, const T* w, Workspace<T>& work) {
  Rows<T>& rows = work.rows;
  for (const RadialSum& sum : set.radial) {
    const Side<T>& side = work.tables[sum.table];
    for (size_t b = 0; b < sum.columns.size(); ++b) {
      const T* slope = side.rho.slope + b * side.rho.stride;
      const T by_value = w[sum.columns[b]];
      for (int i = side.begin; i < side.end; i += lanes<T>)
        add_to<T>(rows.along + i, by_value * load<T>(slope + i));
    }
  }
  for (const PairSum& sum : set.pairs) {
    const RadialSet& radial = set.sets[set.tables[sum.first].set];
    const Side<T>&one = work.tables[sum.first], &other = work.tables[sum.second];
    for_strips<T, false>(sum, radial, rows, one, other, work.strip, [&](Strip<T>& s) {
      const int n = whole<T>(s.count);
      if (sum.narrow) pair_distances<T, true>(radial, s, n);
      angular_factors<T>(sum.angular, s.cos, n, s.angular);
      for (int i = 0; i < n; i += lanes<T>) {
        store<T>(s.by_cos + i, Vec<T>{});
        store<T>(s.by_square + i, Vec<T>{});
      }
      for (int b = 0; b < radial.size(); ++b) {
        weighted_angles<T>(sum.angular, sum.functions[b], w, s, n);
        const T *sides = s.sides + b * STRIP, *rho = s.rho + b * STRIP,
                *rho_slope = s.rho_slope + b * STRIP;
        T* by_sides = s.by_sides + b * STRIP;
        for (int i = 0; i < n; i += lanes<T>) {
          const Vec<T> q = load<T>(sides + i), value = load<T>(s.value + i);
          Vec<T> by_cos = q * load<T>(s.slope + i), by_side = value;
          if (sum.narrow) {
            const Vec<T> p = load<T>(rho + i);
            by_cos *= p;
            by_side *= p;
            add_to<T>(s.by_square + i, q * value * load<T>(rho_slope + i));
          }
          add_to<T>(s.by_cos + i, by_cos);
          store<T>(by_sides + i, by_side);
        }
      }
      spread<T>(sum, radial.size(), rows, one, other, s);
    });
  }
}

// dx [F] along the rows' change u; zero before, summed in float64
template <class T>
void change_at(const FunctionSet& set, Workspace<T>& work, double* dx) {
  const Rows<T>& rows = work.rows;
  for (const RadialSum& sum : set.radial) {
    const Side<T>& side = work.tables[sum.table];
    for (size_t b = 0; b < sum.columns.size(); ++b) {
      const T* slope = side.rho.slope + b * side.rho.stride;
      double total = 0;
      for (int i = side.begin; i < side.end; i += lanes<T>)
        total += sum_of<T>(load<T>(slope + i) * load<T>(rows.u_dot_r + i));
      dx[sum.columns[b]] += total;
    }
  }
  for (const PairSum& sum : set.pairs) {
    const RadialSet& radial = set.sets[set.tables[sum.first].set];
    const AngularSet& angular = sum.angular;
    for_strips<T, true>(
        sum, radial, rows, work.tables[sum.first], work.tables[sum.second], work.strip,
        [&](Strip<T>& s) {
          const int n = whole<T>(s.count);
          if (sum.narrow) pair_distances<T, true>(radial, s, n);
          angular_factors<T>(angular, s.cos, n, s.angular);
          for (int b = 0; b < radial.size(); ++b) {
            T *q = s.sides + b * STRIP, *dq = s.d_sides + b * STRIP;
            const T *p = s.rho + b * STRIP, *slope = s.rho_slope + b * STRIP;
            for (int i = 0; i < n; i += lanes<T>) {
              Vec<T> product = load<T>(q + i), change = load<T>(dq + i);
              if (sum.narrow) {
                change = change * load<T>(p + i) +
                         product * load<T>(slope + i) * load<T>(s.d_square + i);
                product *= load<T>(p + i);
              }
              store<T>(dq + i, change);
              store<T>(q + i, product * load<T>(s.d_cos + i));
            }
            add_products<T>(sum.functions[b], angular.value, angular.value_factor, s, dq,
                            n, dx);
            add_products<T>(sum.functions[b], angular.slope, angular.slope_factor, s, q,
                            n, dx);
          }
        });
  }
}

}  // namespace nnmd
