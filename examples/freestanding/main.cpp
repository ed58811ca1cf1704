// The hosted end of two_stacks.cpp: a command line, and words for what it gives.
#include <cstdio>
#include <cstring>

extern "C" int two_stacks();

int main(int argc, char** argv) {
    if (argc > 1 && std::strcmp(argv[1], "--help") == 0) {
        std::puts("usage: freestanding\nTwo stacks in one process, without an operating system, echo 100,000 bytes.");
        return 0;
    }
    if (argc > 1 && std::strcmp(argv[1], "--version") == 0) {
        std::puts("freestanding " KEEPNET_VERSION);
        return 0;
    }
    if (argc > 1) {
        std::fprintf(stderr, "freestanding: %s: it takes no arguments\n", argv[1]);
        return 2;
    }
    const int status = two_stacks();
    if (status != 0) std::fprintf(stderr, "freestanding: not all that was sent came back (%d)\n", status);
    return status == 0 ? 0 : 1;
}
