#include <keepnet/drivers/memory/memory_link.hpp>
#include <keepnet/posix.h>
#include <keepnet/stack.hpp>

// No stack yet: ENETDOWN.
int main() { return keepnet::Stack::arena_bytes(keepnet::StackConfig{}) > 0 && kn_socket(AF_INET6, SOCK_STREAM, 0) == -1 ? 0 : 1; }
