// What a compiler and its standard library must know to compile keepnet (KeepnetTools.cmake asks it).
#include <expected>

std::expected<int, char> f(bool good) {
    if (good) return 1;
    return std::unexpected('x');
}
