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

/// Brackets everything that changes the state: an owner that dies in between leaves the mark, and, if the embedder gave
/// memory for it, a record by which the step is taken back (DURABILITY 10).
class Step {
  public:
    explicit Step(Core& core) : header_(*core.world.header), undo_(core.world.undo) {
        begin_record();
        header_.in_step = 1;
        undo_fence();
    }
    ~Step() {
        undo_fence();
        ++header_.steps;
        undo_fence();
        header_.in_step = 0;
    }
    /// The state is whole, and what follows is another step. Before anything leaves the machine: a step that may be
    /// taken back must not have been seen.
    void renew() {
        if (undo_ == nullptr) return;
        undo_fence();
        ++header_.steps;
        undo_fence();
        begin_record();
    }
    /// The same, between two events, when the record has grown.
    void relieve() {
        if (undo_ != nullptr && is_undo_half_full(*undo_)) renew();
    }
    Step(const Step&) = delete;
    Step& operator=(const Step&) = delete;

  private:
    void begin_record() {
        if (undo_ != nullptr) undo_begin(*undo_, header_.steps, header_.generations, header_.cuts.current);
    }

    ArenaHeader& header_;
    UndoBlock* undo_;
};

/// Error::invalid when every value of the config is in its range.
Error check_config(const StackConfig& config);
/// Makes an empty stack in the arena, without secrets and without a clock: decode fills it.
std::expected<Core*, Error> create_core(std::span<std::byte> arena, const StackConfig& config, bool arena_is_zeroed);
/// From now on steps leave a record in the embedder's memory; empty: they do not. Fails: invalid_argument.
Error use_undo(Core& core, std::span<std::byte> undo);
/// Everything derived, from the state.
void rebuild_derived(Core& core);
/// Behind a decode or an adoption, whose times are in the new clock: DURABILITY 8.
void resume_core(Core& core, const durability::ResumeOptions& options);
/// Hands what the IP layer left over to its transport.
void dispatch(Core& core, const ip::Delivery& delivery);
/// Puts a device in place of an interface and says nothing on the link: for tests that swap the value.
void attach_silently(Core& core, InterfaceIndex interface, LinkDevice& device);

}  // namespace keepnet
