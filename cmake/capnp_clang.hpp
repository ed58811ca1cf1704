// Included before everything else where clang compiles Cap'n Proto's headers. Those of 0.9 leave `const char* == StringPtr`
// to C++20's reversed operators, which P2468 (clang 16 and later) takes away from a class that also has operator!=.
#pragma once
#include <kj/string.h>

namespace kj {
inline bool operator==(const char* a, const StringPtr& b) { return b.operator==(StringPtr(a)); }
inline bool operator!=(const char* a, const StringPtr& b) { return b.operator!=(StringPtr(a)); }
}  // namespace kj
