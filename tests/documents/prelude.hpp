// What the examples in comments and pages speak of without saying what it is: the program around them.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <keepnet/asio/context.hpp>
#include <keepnet/asio/tcp.hpp>
#include <keepnet/asio/tcp_stream.hpp>
#include <keepnet/checkpoint.hpp>
#include <keepnet/drivers/memory/memory_link.hpp>
#include <keepnet/drivers/tap/tap.hpp>
#include <keepnet/hosted/host.hpp>
#include <keepnet/hosted/snapshotter.hpp>
#include <keepnet/journal_file.hpp>
#include <keepnet/journal_region.hpp>
#include <keepnet/posix_runtime.hpp>
#include <keepnet/stack.hpp>

using namespace keepnet;
using keepnet::asio::tcp;

extern std::span<std::byte> arena, memory;
extern StackConfig config;
extern Stack stack, stack_a, stack_b;
extern boost::asio::io_context io;
extern LinkDevice& device;
extern drivers::TapDevice& tap;
extern posix::Runtime runtime;
extern FileJournal& file;
extern checkpoint::SnapshotStore& store;
extern checkpoint::Sink& sink;
extern std::vector<std::uint8_t> snapshot, state;
extern std::array<std::uint8_t, 32> seed;
extern Instant t;
extern Ipv6Address address;
extern std::uint64_t random_id;
Instant clock_now();
void begin(), take_snapshot();
void serve(SocketHandle), serve(Stack&, SocketHandle), sleep_until(Instant), claim(Stack&), run(Stack&, Journal&);
void use(const std::vector<checkpoint::Blob>&);
bool is_readable(int);
std::vector<std::uint8_t> my_state();
