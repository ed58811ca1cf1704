// A stack at work: the state and everything derived from it, in one arena. Core itself holds pointers and lies in the
// arena's last array; it is made anew wherever the arena is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>

#include <keepnet/stack.hpp>

#include "durability/resume.hpp"
#include "durability/sweep_queue.hpp"
#include "ip/ip.hpp"
#include "ip/loopback.hpp"
#include "link/link.hpp"
#include "state/world.hpp"
#include "tcp/tables.hpp"
#include "tcp/tcp.hpp"
#include "udp/tables.hpp"
#include "udp/udp.hpp"

namespace keepnet {

/// Where deliveries wait in seam mode, the counterpart of ip::OutputSeam. What it takes it gives to dispatch() later.
class InputSeam {
  public:
    /// False when it is full: the packet is lost, as on a wire. Retains the packet's buffer.
    virtual bool push(const ip::Delivery& delivery) = 0;

  protected:
    ~InputSeam() = default;
};

struct JournalCore;

struct Core {
    World world;
    durability::SweepQueue sweep_queue;
    link::Ports ports;
    ip::Loopback loopback;
    tcp::Tables tcp_tables;
    udp::Tables udp_tables;
    InputSeam* input_seam = nullptr;       ///< null: deliveries are calls
    ip::OutputSeam* output_seam = nullptr; ///< null: output requests are calls
    JournalCore* journal = nullptr;        ///< null: calls are not recorded
    std::uint8_t journal_stack = 0;        ///< which of the journal's stacks this is

    [[nodiscard]] Instant now() const { return world.stack().now; }
    [[nodiscard]] ip::IpContext ip_context() { return {{{world, now()}, ports}, loopback, output_seam}; }
    [[nodiscard]] tcp::TcpContext tcp_context() { return {ip_context(), tcp_tables}; }
    [[nodiscard]] udp::UdpContext udp_context() { return {ip_context(), udp_tables}; }
};

/// Brackets everything that changes the state: an owner that dies in between leaves the mark (DURABILITY 10).
class Step {
  public:
    explicit Step(Core& core) : header_(*core.world.header) {
        header_.in_step = 1;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
    }
    ~Step() {
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        ++header_.steps;
        header_.in_step = 0;
    }
    Step(const Step&) = delete;
    Step& operator=(const Step&) = delete;

  private:
    ArenaHeader& header_;
};

/// Error::invalid when every value of the config is in its range.
Error check_config(const StackConfig& config);
/// Makes an empty stack in the arena, without secrets and without a clock: decode fills it.
std::expected<Core*, Error> create_core(std::span<std::byte> arena, const StackConfig& config, bool arena_is_zeroed);
/// Everything derived, from the state.
void rebuild_derived(Core& core);
/// Behind a decode or an adoption, whose times are in the new clock: DURABILITY 8.
void resume_core(Core& core, const durability::ResumeOptions& options);
/// Hands what the IP layer left over to its transport.
void dispatch(Core& core, const ip::Delivery& delivery);
/// Puts a device in place of an interface and says nothing on the link: for tests that swap the value.
void attach_silently(Core& core, InterfaceIndex interface, LinkDevice& device);

}  // namespace keepnet
