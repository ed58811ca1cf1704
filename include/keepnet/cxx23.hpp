// Says in one line what an older compiler, or an older -std=, would say in a hundred. Every public C++ header includes it.
#pragma once

#if __cplusplus < 202100L
#error "keepnet needs C++23: compile with -std=c++23 (g++ 12, clang 19 or newer), in CMake target_compile_features(... cxx_std_23)"
#endif
