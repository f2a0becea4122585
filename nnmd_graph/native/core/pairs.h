// Pair lists: the pairs of neighbours that count, gathered from rows into strips and spread back.
//
// For each neighbour j the neighbours k lie in blocks of as many as a vector has lanes. A mask says
// which lanes count (k after j where both are of one table; r_ik and, in narrow sums, r_jk inside the
// cutoff); these are written side by side into a strip:
//
//     row of k   | a b c d | e f g h | ...        mask 1011, 0000, 0110, ...
//     strip      a c d f g ...                    tiles (j, k, mask): without the empty ones
//
// When a strip is full, the sums work on its arrays and leave derivatives in others, which the same
// masks spread back over j and k. No list grows with the number of neighbours, and all of a strip
// stays in the first-level cache.
#pragma once

#include "angular.h"
#include "rows.h"

namespace nnmd {

// What is gathered, and the factors of the pairs' own distances
template <class T>
struct Strip {
  struct Tile { int j, k; unsigned mask; };

  int count = 0, num_tiles = 0;
  Tile tiles[STRIP];
  T *cos, *square;            // cos theta, r_jk^2
  T* sides;                   // [B, STRIP]: rho_b(r_ij) rho_b(r_ik)
  T *rho, *rho_slope;         // [B, STRIP]: of r_jk
  Array<T> angular;           // [num_arrays, STRIP], where it is kept

  void make_room(int num_b) {
    T* p = memory_.room_for(size_t(STRIP) * (2 + 3 * num_b));
    for (T** a : {&cos, &square}) *a = p, p += STRIP;
    for (T** a : {&sides, &rho, &rho_slope}) *a = p, p += STRIP * num_b;
  }

 private:
  Array<T> memory_;
};

// What is needed while one strip is worked on
template <class T>
struct Scratch {
  T *d_cos, *d_square;        // change along a given change of the vectors; d_square halved
  T *by_cos, *by_square;      // dE/d cos; twice dE/d r_jk^2
  T *value, *slope;           // sums over a: of w A, of w dA/dcos; products
  T* d_sides;                 // [B, STRIP]: change of the sides
  T* by_sides;                // [B, STRIP]: dE/d sides
  T* angular;                 // [num_arrays, STRIP]

  void make_room(int num_b, int num_arrays) {
    T* p = memory_.room_for(size_t(STRIP) * (6 + 2 * num_b + num_arrays));
    for (T** a : {&d_cos, &d_square, &by_cos, &by_square, &value, &slope}) *a = p, p += STRIP;
    for (T** a : {&d_sides, &by_sides}) *a = p, p += STRIP * num_b;
    angular = p;
  }

 private:
  Array<T> memory_;
};

// Gather the pairs of a sum strip by strip, into those that `next()` gives; `work(strip)` is called for
// each full one and the last. With CHANGE also the changes along the vectors u of the rows.
template <class T, bool CHANGE, class Next, class Work>
void for_strips(const PairSum& sum, const RadialSet& set, const Rows<T>& rows, const Side<T>& one,
                const Side<T>& other, Scratch<T>& scratch, Next next, Work work) {
  if (one.begin == one.end || other.begin == other.end) return;  // of many elements most are absent
  const int num_b = set.size();
  const bool same = sum.first == sum.second, narrow = sum.narrow;
  const T rc2 = T(set.cutoff) * T(set.cutoff);
  const size_t stride = one.rho.stride;
  scratch.make_room(num_b, sum.angular.num_arrays);
  Strip<T>* strip = nullptr;
  const auto begin = [&] {
    strip = &next();
    strip->make_room(num_b);
    strip->count = strip->num_tiles = 0;
  };
  const auto finish = [&] {
    const Vec<T> zero{};
    const int c = strip->count;
    for (T* a : {strip->cos, scratch.d_cos, scratch.d_square}) store<T>(a + c, zero);
    store<T>(strip->square + c, all<T>(1));
    for (int b = 0; b < num_b; ++b) {
      store<T>(strip->sides + b * STRIP + c, zero);
      store<T>(scratch.d_sides + b * STRIP + c, zero);
    }
    work(*strip);
    strip = nullptr;
  };
  for (int j = one.begin; j < one.end; ++j) {
    if (!(rows.r2[j] < rc2)) continue;
    const Vec<T> xj = all(rows.x[j]), yj = all(rows.y[j]), zj = all(rows.z[j]);
    const Vec<T> rj2 = all(rows.r2[j]), per_rj = all(rows.per_r[j]);
    for (int k = same ? j + 1 - (j + 1) % lanes<T> : other.begin; k < other.end; k += lanes<T>) {
      const Vec<T> xk = load<T>(rows.x + k), yk = load<T>(rows.y + k), zk = load<T>(rows.z + k);
      const Vec<T> dot = xj * xk + yj * yk + zj * zk, rk2 = load<T>(rows.r2 + k);
      const Vec<T> square = rj2 + rk2 - (dot + dot);
      unsigned m = mask_of<T>(narrow ? (square < rc2) & (rk2 < rc2) : rk2 < rc2);
      if (same && k <= j) m &= ~0u << (j + 1 - k);
      if (!m) continue;
      if (!strip) begin();
      const int c = strip->count;
      const Vec<T> per_both = per_rj * load<T>(rows.per_r + k), cos = dot * per_both;
      store<T>(strip->cos + c, compress(m, cos));
      if (narrow) store<T>(strip->square + c, compress(m, square));
      for (int b = 0; b < num_b; ++b) {
        const Vec<T> side = one.rho.value[b * stride + j] * load<T>(other.rho.value + b * stride + k);
        store<T>(strip->sides + b * STRIP + c, compress(m, side));
      }
      if constexpr (CHANGE) {
        const Vec<T> uxk = load<T>(rows.ux + k), uyk = load<T>(rows.uy + k),
                     uzk = load<T>(rows.uz + k), urk = load<T>(rows.u_dot_r + k);
        const T urj = rows.u_dot_r[j];
        const Vec<T> d_dot = rows.ux[j] * xk + rows.uy[j] * yk + rows.uz[j] * zk +
                             xj * uxk + yj * uyk + zj * uzk;
        const Vec<T> per_rk = load<T>(rows.per_r + k);
        const Vec<T> d_cos =
            d_dot * per_both - cos * (urj * per_rj * per_rj + urk * per_rk * per_rk);
        store<T>(scratch.d_cos + c, compress(m, d_cos));
        if (narrow) store<T>(scratch.d_square + c, compress(m, urj + urk - d_dot));
        for (int b = 0; b < num_b; ++b) {
          const size_t at = b * stride;
          const Vec<T> d_side =
              one.rho.slope[at + j] * urj * load<T>(other.rho.value + at + k) +
              one.rho.value[at + j] * urk * load<T>(other.rho.slope + at + k);
          store<T>(scratch.d_sides + b * STRIP + c, compress(m, d_side));
        }
      }
      strip->tiles[strip->num_tiles++] = {j, k, m};
      strip->count += __builtin_popcount(m);
      if (strip->count > STRIP - 2 * lanes<T>) finish();
    }
  }
  if (strip) finish();
}

// Spread by_cos, by_square and by_sides of a strip back onto the rows' gradient.
//
//     d cos / d r_j  = r_k / (r_ij r_ik) - cos r_j / r_ij^2
//     d r_jk^2 / d r_j = 2 (r_j - r_k)
//     d rho_b(r_ij) / d r_j = slope_b r_j
//
// The sides are those of the radial factors first_b .. end_b.
template <class T>
void spread(const PairSum& sum, int first_b, int end_b, Rows<T>& rows, const Side<T>& one, const Side<T>& other,
            const Strip<T>& strip, const Scratch<T>& by) {
  const size_t stride = one.rho.stride;
  int from = 0;
  for (int t = 0; t < strip.num_tiles;) {
    const int j = strip.tiles[t].j;
    const Vec<T> xj = all(rows.x[j]), yj = all(rows.y[j]), zj = all(rows.z[j]);
    const Vec<T> per_rj = all(rows.per_r[j]);
    Vec<T> gx{}, gy{}, gz{}, along_j{};
    for (; t < strip.num_tiles && strip.tiles[t].j == j; ++t) {
      const int k = strip.tiles[t].k;
      const unsigned m = strip.tiles[t].mask;
      const Vec<T> xk = load<T>(rows.x + k), yk = load<T>(rows.y + k), zk = load<T>(rows.z + k);
      const Vec<T> per_rk = load<T>(rows.per_r + k);
      Vec<T> across = expand(m, by.by_cos + from) * per_rj * per_rk;
      const Vec<T> turned = across * (xj * xk + yj * yk + zj * zk);
      along_j -= turned * per_rj * per_rj;
      Vec<T> along_k = -turned * per_rk * per_rk;
      if (sum.narrow) {
        const Vec<T> apart = expand(m, by.by_square + from);
        across -= apart;
        along_j += apart;
        along_k += apart;
      }
      for (int b = first_b; b < end_b; ++b) {
        const Vec<T> by_side = expand(m, by.by_sides + b * STRIP + from);
        const size_t at = b * stride;
        along_j += by_side * load<T>(other.rho.value + at + k) * one.rho.slope[at + j];
        along_k += by_side * load<T>(other.rho.slope + at + k) * one.rho.value[at + j];
      }
      gx += across * xk;
      gy += across * yk;
      gz += across * zk;
      add_to<T>(rows.gx + k, across * xj);
      add_to<T>(rows.gy + k, across * yj);
      add_to<T>(rows.gz + k, across * zj);
      add_to<T>(rows.along + k, along_k);
      from += __builtin_popcount(m);
    }
    rows.gx[j] += sum_of<T>(gx);
    rows.gy[j] += sum_of<T>(gy);
    rows.gz[j] += sum_of<T>(gz);
    rows.along[j] += sum_of<T>(along_j);
  }
}

}  // namespace nnmd
