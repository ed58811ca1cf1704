#include <keepnet/drivers/memory/memory_link.hpp>
#include <keepnet/stack.hpp>

int main() { return keepnet::Stack::arena_bytes(keepnet::StackConfig{}) > 0 ? 0 : 1; }
