// The operations at one centre: values x, the pullback of dE/dx, the change of x along u.
//
// With q the sides rho_b(r_ij) rho_b(r_ik), p = rho_b(r_jk) (one in wide sums):
//
//     value     G_ba = sum q p A_a
//     pullback  dE/dcos = sum_b q p sum_a w_ba dA_a/dcos      dE/dq = p sum_a w_ba A_a
//               2 dE/dr_jk^2 = sum_b q (dp/dr_jk / r_jk) sum_a w_ba A_a
//     change    dG_ba = sum (dq p + q dp) A_a + q p dcos dA_a/dcos
#pragma once

#include <deque>

#include "nets.h"
#include "pairs.h"

namespace nnmd {

constexpr int MAX_KEPT = 256;    // strips of a centre; of more the pairs are gathered once more
constexpr int MAX_TOGETHER = 8;  // functions whose sums stay in registers

template <class T>
struct Workspace {
  Rows<T> rows;
  Tables<T> tables;
  Scratch<T> scratch;
  std::deque<Strip<T>> strips{1};  // more than one where they are kept
  int num_kept = 0, most = MAX_KEPT;
  std::vector<int> sum_of;         // of each strip that is kept, the number of its sum
  NetScratch<T> net;
  std::vector<double> x;           // [F]: sums before they are rounded to T
  std::vector<T> vec, w;           // [n, 3], edge vectors; [F], dE/dx
};

// Call f(std::integral_constant) for n in 1 .. N.
template <int N, class F>
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
void add_products(const std::vector<PairSum::Function>& functions, const std::vector<int>& arrays,
                  const std::vector<double>& factors, const T* angular, const T* x, int n,
                  double* out) {
  for (size_t first = 0; first < functions.size(); first += MAX_TOGETHER) {
    const int count = int(std::min<size_t>(MAX_TOGETHER, functions.size() - first));
    const T* y[MAX_TOGETHER];
    T sums[MAX_TOGETHER];
    for (int k = 0; k < count; ++k)
      y[k] = angular + size_t(arrays[functions[first + k].a]) * STRIP;
    for_number<MAX_TOGETHER>(count,
                             [&](auto N) { products<T, decltype(N)::value>(x, y, n, sums); });
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

// sum_a w_ba A_a and sum_a w_ba dA_a/dcos of one b, into `value` and `slope`
template <class T>
void weighted_angles(const AngularSet& set, const std::vector<PairSum::Function>& functions,
                     const T* w, Scratch<T>& s, int n) {
  constexpr int MOST = MAX_TOGETHER / 2;
  for (size_t first = 0; first < functions.size(); first += MOST) {
    const int count = int(std::min<size_t>(MOST, functions.size() - first));
    const T *values[MOST], *slopes[MOST];
    T by_value[MOST], by_slope[MOST];
    for (int k = 0; k < count; ++k) {
      const auto& f = functions[first + k];
      values[k] = s.angular + size_t(set.value[f.a]) * STRIP;
      slopes[k] = s.angular + size_t(set.slope[f.a]) * STRIP;
      by_value[k] = T(set.value_factor[f.a]) * w[f.column];
      by_slope[k] = T(set.slope_factor[f.a]) * w[f.column];
    }
    for_number<MOST>(count, [&](auto N) {
      combine<T, decltype(N)::value>(values, slopes, by_value, by_slope, n, first == 0, s.value,
                                     s.slope);
    });
  }
}

// -- values -----------------------------------------------------------------------------------------
template <class T>
void radial_values(const FunctionSet& set, const Tables<T>& tables, double* x) {
  for (const RadialSum& sum : set.radial) {
    const Side<T>& side = tables[sum.table];
    for (size_t b = 0; b < sum.columns.size(); ++b) {
      const T* rho = side.rho.value + b * side.rho.stride;
      double total = 0;
      for (int i = side.begin; i < side.end; i += lanes<T>) total += sum_of<T>(load<T>(rho + i));
      x[sum.columns[b]] += total;
    }
  }
}

// Add to x [F], which is zero before; summed in float64. With KEEP strips are kept for `pullback_kept`.
template <class T, bool KEEP>
void values_at(const FunctionSet& set, Workspace<T>& work, double* x) {
  radial_values<T>(set, work.tables, x);
  work.num_kept = 0;
  work.sum_of.clear();
  for (size_t number = 0; number < set.pairs.size(); ++number) {
    const PairSum& sum = set.pairs[number];
    const RadialSet& radial = set.sets[set.tables[sum.first].set];
    Scratch<T>& scratch = work.scratch;
    const auto next = [&]() -> Strip<T>& {
      if (!KEEP) return work.strips[0];
      work.sum_of.push_back(int(number));
      const size_t at = size_t(std::min(work.num_kept++, work.most));
      if (at == work.strips.size()) work.strips.emplace_back();
      return work.strips[at];
    };
    for_strips<T, false>(
        sum, radial, work.rows, work.tables[sum.first], work.tables[sum.second], scratch, next,
        [&](Strip<T>& s) {
          const int n = whole<T>(s.count);
          if (sum.narrow) pair_distances<T, KEEP>(radial, s, n);
          angular_factors<T, false>(sum.angular, s.cos, n, scratch.angular);
          for (int b = 0; b < radial.size(); ++b) {
            const T *q = s.sides + b * STRIP, *p = s.rho + b * STRIP;
            if (sum.narrow) {
              for (int i = 0; i < n; i += lanes<T>)
                store<T>(scratch.value + i, load<T>(q + i) * load<T>(p + i));
              q = scratch.value;
            }
            add_products<T>(sum.functions[b], sum.angular.value, sum.angular.value_factor,
                            scratch.angular, q, n, x);
          }
        });
  }
}

// -- pullback ----------------------------------------------------------------------------------------
template <class T>
void radial_pullback(const FunctionSet& set, const T* w, Workspace<T>& work) {
  for (const RadialSum& sum : set.radial) {
    const Side<T>& side = work.tables[sum.table];
    for (size_t b = 0; b < sum.columns.size(); ++b) {
      const T* slope = side.rho.slope + b * side.rho.stride;
      const T by_value = w[sum.columns[b]];
      for (int i = side.begin; i < side.end; i += lanes<T>)
        add_to<T>(work.rows.along + i, by_value * load<T>(slope + i));
    }
  }
}

// Of one strip, whose factors are there
template <class T>
void strip_pullback(const PairSum& sum, const T* w, Workspace<T>& work, const Strip<T>& s) {
  const int n = whole<T>(s.count), num_b = int(sum.functions.size());
  Scratch<T>& to = work.scratch;
  angular_factors<T, true>(sum.angular, s.cos, n, to.angular);
  for (int i = 0; i < n; i += lanes<T>) {
    store<T>(to.by_cos + i, Vec<T>{});
    store<T>(to.by_square + i, Vec<T>{});
  }
  for (int b = 0; b < num_b; ++b) {
    weighted_angles<T>(sum.angular, sum.functions[b], w, to, n);
    const size_t at = size_t(b) * STRIP;
    for (int i = 0; i < n; i += lanes<T>) {
      const Vec<T> q = load<T>(s.sides + at + i), value = load<T>(to.value + i);
      Vec<T> by_cos = q * load<T>(to.slope + i), by_side = value;
      if (sum.narrow) {
        const Vec<T> p = load<T>(s.rho + at + i);
        by_cos *= p;
        by_side *= p;
        add_to<T>(to.by_square + i, q * value * load<T>(s.rho_slope + at + i));
      }
      add_to<T>(to.by_cos + i, by_cos);
      store<T>(to.by_sides + at + i, by_side);
    }
  }
  spread<T>(sum, 0, num_b, work.rows, work.tables[sum.first], work.tables[sum.second], s, to);
}

// Add dE/dvec of w = dE/dx [F] to the rows' gradient, which is zero before.
template <class T>
void pullback_at(const FunctionSet& set, const T* w, Workspace<T>& work) {
  radial_pullback<T>(set, w, work);
  for (const PairSum& sum : set.pairs) {
    const RadialSet& radial = set.sets[set.tables[sum.first].set];
    for_strips<T, false>(
        sum, radial, work.rows, work.tables[sum.first], work.tables[sum.second], work.scratch,
        [&]() -> Strip<T>& { return work.strips[0]; },
        [&](Strip<T>& s) {
          if (sum.narrow) pair_distances<T, true>(radial, s, whole<T>(s.count));
          strip_pullback<T>(sum, w, work, s);
        });
  }
}

// The same from the strips that `values_at` has kept
template <class T>
void pullback_kept(const FunctionSet& set, const T* w, Workspace<T>& work) {
  if (work.num_kept > work.most) return pullback_at<T>(set, w, work);
  radial_pullback<T>(set, w, work);
  for (int n = 0; n < work.num_kept; ++n) {
    const PairSum& sum = set.pairs[work.sum_of[n]];
    work.scratch.make_room(int(sum.functions.size()), sum.angular.num_arrays);
    strip_pullback<T>(sum, w, work, work.strips[n]);
  }
}

// -- Jacobian ----------------------------------------------------------------------------------------
// The pullback of w = 1 for one function of a sum, from a strip whose factors are all there
template <class T>
void function_pullback(const PairSum& sum, int b, int a, Workspace<T>& work, const Strip<T>& s) {
  const int n = whole<T>(s.count);
  const size_t at = size_t(b) * STRIP;
  const AngularSet& set = sum.angular;
  Scratch<T>& to = work.scratch;
  const T *values = s.angular.get() + size_t(set.value[a]) * STRIP,
          *slopes = s.angular.get() + size_t(set.slope[a]) * STRIP;
  const T by_value = T(set.value_factor[a]), by_slope = T(set.slope_factor[a]);
  for (int i = 0; i < n; i += lanes<T>) {
    const Vec<T> q = load<T>(s.sides + at + i);
    Vec<T> by_side = by_value * load<T>(values + i), by_cos = by_slope * load<T>(slopes + i) * q;
    if (sum.narrow) {
      const Vec<T> p = load<T>(s.rho + at + i);
      store<T>(to.by_square + i, q * by_side * load<T>(s.rho_slope + at + i));
      by_side *= p;
      by_cos *= p;
    }
    store<T>(to.by_cos + i, by_cos);
    store<T>(to.by_sides + at + i, by_side);
  }
  spread<T>(sum, b, b + 1, work.rows, work.tables[sum.first], work.tables[sum.second], s, to);
}

// x [F], zero before, and dx/dvec: `add(place, column, g)` is called for the neighbour at each place,
// once or more for a column.
template <class T, class Add>
void jacobian_at(const FunctionSet& set, Workspace<T>& work, double* x, Add add) {
  work.most = std::numeric_limits<int>::max();
  values_at<T, true>(set, work, x);
  work.most = MAX_KEPT;
  Rows<T>& rows = work.rows;
  const auto collect = [&](int column) {
    rows.for_gradient([&](int place, const T*, const T* g) { add(place, column, g); });
    rows.clear_gradient();
  };
  rows.clear_gradient();
  for (const RadialSum& sum : set.radial) {
    const Side<T>& side = work.tables[sum.table];
    for (size_t b = 0; b < sum.columns.size(); ++b) {
      const T* slope = side.rho.slope + b * side.rho.stride;
      std::copy(slope + side.begin, slope + side.end, rows.along + side.begin);
      collect(sum.columns[b]);
    }
  }
  for (int first = 0, end; first < work.num_kept; first = end) {
    const int number = work.sum_of[first];
    const PairSum& sum = set.pairs[number];
    work.scratch.make_room(int(sum.functions.size()), sum.angular.num_arrays);
    for (end = first; end < work.num_kept && work.sum_of[end] == number; ++end) {
      Strip<T>& s = work.strips[end];
      T* arrays = s.angular.room_for(size_t(sum.angular.num_arrays) * STRIP);
      angular_factors<T, true>(sum.angular, s.cos, whole<T>(s.count), arrays);
    }
    for (size_t b = 0; b < sum.functions.size(); ++b)
      for (const auto& f : sum.functions[b]) {
        for (int n = first; n < end; ++n)
          function_pullback<T>(sum, int(b), f.a, work, work.strips[n]);
        collect(f.column);
      }
  }
}

// -- change ------------------------------------------------------------------------------------------
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
    Scratch<T>& to = work.scratch;
    for_strips<T, true>(
        sum, radial, rows, work.tables[sum.first], work.tables[sum.second], to,
        [&]() -> Strip<T>& { return work.strips[0]; },
        [&](Strip<T>& s) {
          const int n = whole<T>(s.count);
          if (sum.narrow) pair_distances<T, true>(radial, s, n);
          angular_factors<T, true>(angular, s.cos, n, to.angular);
          for (int b = 0; b < radial.size(); ++b) {
            const size_t at = size_t(b) * STRIP;
            for (int i = 0; i < n; i += lanes<T>) {
              Vec<T> product = load<T>(s.sides + at + i), change = load<T>(to.d_sides + at + i);
              if (sum.narrow) {
                const Vec<T> p = load<T>(s.rho + at + i), slope = load<T>(s.rho_slope + at + i);
                change = change * p + product * slope * load<T>(to.d_square + i);
                product *= p;
              }
              store<T>(to.value + i, change);
              store<T>(to.slope + i, product * load<T>(to.d_cos + i));
            }
            const auto& functions = sum.functions[b];
            add_products<T>(functions, angular.value, angular.value_factor, to.angular, to.value,
                            n, dx);
            add_products<T>(functions, angular.slope, angular.slope_factor, to.angular, to.slope,
                            n, dx);
          }
        });
  }
}

}  // namespace nnmd
