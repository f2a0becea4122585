// The plan: which sums over neighbours and pairs of them the functions of each element are.
//
// Written down by Python as two arrays, integers and numbers (native/plan.py has the order), so that
// nothing is generated or compiled for a set of functions.
#pragma once

#include <map>
#include <stdexcept>
#include <utility>
#include <vector>

#include "windows.h"

namespace nnmd {

class Reader {  // of the two arrays; complains where they end too early
 public:
  Reader(const int64_t* ints, int64_t num_ints, const double* numbers, int64_t num_numbers)
      : ints_(ints), ints_end_(ints + num_ints), numbers_(numbers),
        numbers_end_(numbers + num_numbers) {}

  int integer(int64_t low, int64_t high) {
    if (ints_ == ints_end_ || *ints_ < low || *ints_ > high)
      throw std::invalid_argument("plan: an integer is missing or out of range");
    return int(*ints_++);
  }
  int count() { return integer(0, 1 << 24); }
  double number() {
    if (numbers_ == numbers_end_) throw std::invalid_argument("plan: a number is missing");
    return *numbers_++;
  }
  const double* numbers(int64_t n) {
    if (numbers_end_ - numbers_ < n) throw std::invalid_argument("plan: numbers are missing");
    numbers_ += n;
    return numbers_ - n;
  }
  void finish() const {
    if (ints_ != ints_end_ || numbers_ != numbers_end_)
      throw std::invalid_argument("plan: too long");
  }

 private:
  const int64_t *ints_, *ints_end_;
  const double *numbers_, *numbers_end_;
};

enum RadialKind { GAUSSIAN = 0, WAVE = 1, RADIAL_WINDOW = 2 };
constexpr int MAX_RATIO = 32;

// rho of one distance without f_c: exp(-eta (r - r_s)^2), cos(kappa r), or a window
struct Radial {
  double eta = 0, r_s = 0, kappa = 0;
  Window window{};
  int base = -1, ratio = 0;  // this Gaussian is number `base` to the power `ratio`
};

// B functions rho of one kind and cutoff
struct RadialSet {
  RadialKind kind;
  int cutoff_function;
  double cutoff, inner;
  std::vector<Radial> functions;

  explicit RadialSet(Reader& in) {
    kind = RadialKind(in.integer(GAUSSIAN, RADIAL_WINDOW));
    cutoff_function = in.integer(HARD, STEP4);
    cutoff = in.number();
    inner = in.number();
    functions.resize(in.count());
    for (Radial& f : functions) {
      if (kind == GAUSSIAN) {
        f.eta = in.number();
        f.r_s = in.number();
      } else if (kind == WAVE) {
        f.kappa = in.number();
      } else {
        f.window.core = in.integer(BUMP, STEP4);
        f.window.asymmetric = in.integer(0, 1);
        f.window.low = in.number();
        f.window.high = cutoff;
      }
    }
    if (kind == GAUSSIAN) find_powers();
  }

  int size() const { return int(functions.size()); }

 private:
  // One exponential serves all widths that are small multiples of the smallest at the same r_s.
  void find_powers() {
    for (int b = 0; b < size(); ++b) {
      int smallest = b;
      for (int c = 0; c < size(); ++c)
        if (functions[c].r_s == functions[b].r_s && functions[c].eta > 0 &&
            functions[c].eta < functions[smallest].eta)
          smallest = c;
      const double ratio = functions[b].eta / functions[smallest].eta;
      if (smallest != b && ratio < MAX_RATIO + 0.5 &&
          std::fabs(ratio - std::round(ratio)) < 1e-14 * ratio) {
        functions[b].base = smallest;
        functions[b].ratio = int(std::lround(ratio));  // 0.3 / 0.1 is below three
      }
    }
  }
};

// Values and slopes of a set at the neighbours of one element, or at all with their weights
struct Table {
  int set, element;  // element -1: all neighbours

  Table(Reader& in, int num_sets, int num_elements)
      : set(in.integer(0, num_sets - 1)), element(in.integer(-1, num_elements - 1)) {}
};

// sum_j rho_b(r_ij), each in its column
struct RadialSum {
  int table;
  std::vector<int> columns;
};

// Arrays over pairs that hold powers of b = (1 + lam cos theta) / 2, or windows of theta.
struct AngularSet {
  struct Product { int to, one, other; };
  struct Power { int to, base; double exponent; };
  struct Angle { int value, slope; Window window; };

  std::vector<std::pair<double, int>> bases;  // lam, array
  std::vector<Product> products;              // in the order in which they can be made
  int products_of_values = 0;                 // the first ones, which serve all values
  std::vector<Power> powers;                  // exponents that are no positive integers
  std::vector<Angle> angles;
  int num_arrays = 1;                         // array 0 holds ones
  // Of each function A: arrays of value and slope by cos theta, and the factors of both
  std::vector<int> value, slope;
  std::vector<double> value_factor, slope_factor;

  explicit AngularSet(Reader& in) {
    const bool windows = in.integer(0, 1);
    const int count = in.count();
    std::vector<std::pair<double, double>> shapes;  // zeta, lam
    for (int a = 0; a < count; ++a) {
      if (windows) {
        Window w{in.integer(BUMP, STEP4), false, in.number(), 0};
        w.high = in.number();
        angles.push_back({num_arrays, num_arrays + 1, w});
        value.push_back(num_arrays++);
        slope.push_back(num_arrays++);
        value_factor.push_back(1);
        slope_factor.push_back(1);
      } else {
        const double zeta = in.number(), lam = in.number();
        shapes.push_back({zeta, lam});
        value.push_back(power(lam, zeta));
        value_factor.push_back(2);
        slope_factor.push_back(zeta * lam);
      }
    }
    products_of_values = int(products.size());
    for (const auto& [zeta, lam] : shapes) slope.push_back(power(lam, zeta - 1));
  }

 private:
  std::map<std::pair<double, double>, int> known_;  // lam, exponent -> array

  int power(double lam, double exponent) {
    if (exponent == 0) return 0;
    const auto key = std::make_pair(lam, exponent);
    const auto found = known_.find(key);
    if (found != known_.end()) return found->second;
    int array;
    if (exponent == 1) {
      array = num_arrays++;
      bases.push_back({lam, array});
    } else if (exponent < 0 || exponent != std::floor(exponent) || exponent > 1 << 20) {
      const int base = power(lam, 1);
      array = num_arrays++;
      powers.push_back({array, base, exponent});
    } else {  // b^n = b^h b^(n - h), h the largest power of two below
      double half = 1;
      while (2 * half < exponent) half *= 2;
      const int one = power(lam, half), other = power(lam, exponent - half);
      array = num_arrays++;
      products.push_back({array, one, other});
    }
    return known_[key] = array;
  }
};

// sum_{j<k} rho_b(r_ij) rho_b(r_ik) [rho_b(r_jk)] A_a(cos theta), each in its column
struct PairSum {
  struct Function { int a, column; };

  int first, second;  // tables of j and k
  bool narrow;
  AngularSet angular;
  std::vector<std::vector<Function>> functions;  // for each b

  PairSum(Reader& in, const std::vector<Table>& tables, const std::vector<RadialSet>& sets)
      : first(in.integer(0, int(tables.size()) - 1)),
        second(in.integer(0, int(tables.size()) - 1)),
        narrow(in.integer(0, 1)), angular(in), functions(sets[tables[first].set].size()) {
    if (tables[first].set != tables[second].set)
      throw std::invalid_argument("plan: a pair with two sets of radial functions");
    const int count = in.count();
    for (int k = 0; k < count; ++k) {
      const int b = in.integer(0, int(functions.size()) - 1);
      const int a = in.integer(0, int(angular.value.size()) - 1);
      functions[b].push_back({a, in.count()});
    }
  }
};

// The functions of atoms of one element
struct FunctionSet {
  std::vector<RadialSet> sets;
  std::vector<Table> tables;
  std::vector<RadialSum> radial;
  std::vector<PairSum> pairs;
  double farthest = 0;

  FunctionSet(Reader& in, int num_elements, int num_features) {
    for (int n = in.count(); n > 0; --n) sets.emplace_back(in);
    for (int n = in.count(); n > 0; --n) tables.emplace_back(in, int(sets.size()), num_elements);
    for (int n = in.count(); n > 0; --n) {
      RadialSum sum{in.integer(0, int(tables.size()) - 1), {}};
      for (int b = sets[tables[sum.table].set].size(); b > 0; --b)
        sum.columns.push_back(in.integer(0, num_features - 1));
      radial.push_back(sum);
    }
    for (int n = in.count(); n > 0; --n) pairs.emplace_back(in, tables, sets);
    for (const PairSum& sum : pairs)
      for (const auto& of_b : sum.functions)
        for (const auto& f : of_b)
          if (f.column >= num_features) throw std::invalid_argument("plan: no such column");
    for (const RadialSet& set : sets) farthest = std::max(farthest, set.cutoff);
  }
};

struct Plan {
  int num_elements, num_features;
  std::vector<double> weights;    // of neighbours of each element in weighted functions
  std::vector<int> set_of;        // of each element
  std::vector<FunctionSet> sets;

  explicit Plan(Reader in)
      : num_elements(in.integer(1, 1000)), num_features(in.integer(1, 1 << 24)) {
    for (int s = 0; s < num_elements; ++s) weights.push_back(in.number());
    const int num_sets = in.integer(1, num_elements);
    for (int s = 0; s < num_elements; ++s) set_of.push_back(in.integer(0, num_sets - 1));
    for (int n = 0; n < num_sets; ++n) sets.emplace_back(in, num_elements, num_features);
    in.finish();
  }
};

}  // namespace nnmd
