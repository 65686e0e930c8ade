// The activations of a launch's tokens, in the forms that the kernels of dot.h want.
#pragma once
#include <vector>

#include "dot.h"
#include "layer.h"

namespace elastix {

class TokenBatch {
  public:
    // x[t]: the 32·tiles integers of token t.
    TokenBatch(const int16_t* const* x, const Layer& layer);

    Activations views[kMaxTokens];
    int largest = 0;  // magnitude

  private:
    std::vector<int16_t> x_, pairs_;
    std::vector<int8_t> low_, high_;
    std::vector<int32_t> sums_;
};

}  // namespace elastix
