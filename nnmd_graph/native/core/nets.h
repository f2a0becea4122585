// Nets of atoms: y = act_L(W_L act(... act_1(W_1 x + b_1) ...) + b_L), and dy/dx.
#pragma once

#include <deque>

#include "plan.h"

namespace nnmd {

enum Activation {  // numbers that Python writes down
  IDENTITY = 0, TANH = 1, SIGMOID = 2, SOFTPLUS = 3, RELU = 4, GAUSSIAN_BELL = 5, COS = 6,
  REVLOGISTIC = 7, EXPONENTIAL = 8, HARMONIC = 9, SILU = 10, GELU = 11
};

// act(z) and its derivative; formulas as in nn/mlp.py of the package
template <class T>
INLINE void activate(int kind, T z, T& value, T& slope) {
  switch (kind) {
    case TANH: value = std::tanh(z); slope = (T(1) - value) * (T(1) + value); break;
    case SIGMOID: value = T(1) / (T(1) + std::exp(-z)); slope = value / (T(1) + std::exp(z)); break;
    case SOFTPLUS:
      value = (z > 0 ? z : T(0)) + std::log1p(std::exp(-std::fabs(z)));
      slope = T(1) / (T(1) + std::exp(-z));
      break;
    case RELU: value = z > 0 ? z : T(0); slope = z > 0 ? T(1) : T(0); break;
    case GAUSSIAN_BELL: value = std::exp(T(-0.5) * z * z); slope = -z * value; break;
    case COS: value = std::cos(z); slope = -std::sin(z); break;
    case REVLOGISTIC:
      value = T(1) / (T(1) + std::exp(z));
      slope = -value / (T(1) + std::exp(-z));
      break;
    case EXPONENTIAL: value = std::exp(-z); slope = -value; break;
    case HARMONIC: value = z * z; slope = T(2) * z; break;
    case SILU: {
      const T s = T(1) / (T(1) + std::exp(-z));
      value = z * s;
      slope = s + value / (T(1) + std::exp(z));
      break;
    }
    case GELU: {
      const T phi = T(0.5) * std::erfc(T(-0.70710678118654752440) * z);
      value = z * phi;
      slope = phi + z * T(0.39894228040143267794) * std::exp(T(-0.5) * z * z);
      break;
    }
    default: value = z; slope = T(1);
  }
}

// One layer; rows of both layouts of the matrix are filled up to whole vectors with zeros
template <class T>
struct Layer {
  int in, out, activation;
  Array<T> by_in, by_out, bias;  // W^T [in, whole(out)], W [out, whole(in)], b [whole(out)]

  Layer(int in, int out, int activation, const double* weight, const double* b)
      : in(in), out(out), activation(activation) {
    const int wide_in = whole<T>(in), wide_out = whole<T>(out);
    T *down = by_in.room_for(size_t(in) * wide_out), *up = by_out.room_for(size_t(out) * wide_in);
    T* shift = bias.room_for(wide_out);
    for (int o = 0; o < out; ++o) {
      shift[o] = T(b[o]);
      for (int i = 0; i < in; ++i)
        down[size_t(i) * wide_out + o] = up[size_t(o) * wide_in + i] = T(weight[size_t(o) * in + i]);
    }
  }
};

// y [columns] += sum_r x[r] matrix[r], rows of whole vectors
template <class T>
void add_rows(const T* x, const T* matrix, int rows, int columns, T* y) {
  for (int r = 0; r < rows; ++r) {
    const Vec<T> xr = all(x[r]);
    const T* row = matrix + size_t(r) * columns;
    for (int c = 0; c < columns; c += lanes<T>) add_to<T>(y + c, xr * load<T>(row + c));
  }
}

// What is needed while one atom is computed
template <class T>
struct NetScratch {
  std::deque<Array<T>> values, slopes;  // of the layers
  Array<T> back[2];                     // dE/d outputs, of a layer and the one before
};

template <class T>
class Net {
 public:
  double factor = 1, e0 = 0;  // E = e0 + factor (y - y of an isolated atom, x = 0)

  void add(int in, int out, int activation, const double* weight, const double* bias) {
    layers_.emplace_back(in, out, activation, weight, bias);
  }

  // E of one atom, and into `w` dE/dx
  double operator()(const T* x, T* w, NetScratch<T>& scratch) const {
    const T y = forward(x, scratch);
    T* back = scratch.back[0].room_for(lanes<T>);
    back[0] = T(factor);
    for (size_t n = layers_.size(); n-- > 0;) {
      const Layer<T>& layer = layers_[n];
      const int width = whole<T>(layer.in);
      for (int o = 0; o < layer.out; ++o) back[o] *= scratch.slopes[n].get()[o];
      T* before = scratch.back[(layers_.size() - n) % 2].room_for(width);
      std::fill(before, before + width, T(0));
      add_rows<T>(back, layer.by_out.get(), layer.out, width, before);
      back = before;
    }
    std::copy(back, back + layers_[0].in, w);
    return e0 + factor * (double(y) - isolated_);
  }

  // After the last layer: the output for an isolated atom
  void finish(int num_features) {
    NetScratch<T> scratch;
    isolated_ = double(forward(std::vector<T>(num_features).data(), scratch));
  }

 private:
  T forward(const T* x, NetScratch<T>& scratch) const {
    while (scratch.values.size() < layers_.size()) {
      scratch.values.emplace_back();
      scratch.slopes.emplace_back();
    }
    for (size_t n = 0; n < layers_.size(); ++n) {
      const Layer<T>& layer = layers_[n];
      const int width = whole<T>(layer.out);
      T *value = scratch.values[n].room_for(width), *slope = scratch.slopes[n].room_for(width);
      std::copy(layer.bias.get(), layer.bias.get() + width, value);
      add_rows<T>(x, layer.by_in.get(), layer.in, width, value);
      for (int o = 0; o < layer.out; ++o)
        activate<T>(layer.activation, T(value[o]), value[o], slope[o]);
      x = value;
    }
    return x[0];
  }

  std::vector<Layer<T>> layers_;
  double isolated_ = 0;
};

// A net for each element: number of layers, of each outputs and activation; factor, e0, and of
// each layer the matrix [out, in] and the bias.
template <class T>
struct Nets {
  std::vector<Net<T>> of;

  Nets(Reader in, const Plan& plan) {
    for (int s = 0; s < plan.num_elements; ++s) {
      Net<T> net;
      int width = plan.num_features;
      net.factor = in.number();
      net.e0 = in.number();
      for (int n = in.integer(1, 1000); n > 0; --n) {
        const int out = in.count(), activation = in.integer(IDENTITY, GELU);
        if (out < 1 || (n == 1 && out != 1)) throw std::invalid_argument("nets: one output");
        const double* weight = in.numbers(int64_t(width) * out);
        net.add(width, out, activation, weight, in.numbers(out));
        width = out;
      }
      net.finish(plan.num_features);
      of.push_back(std::move(net));
    }
    in.finish();
  }
};

}  // namespace nnmd
