// The application's way with bytes: transfer, handler, write; and what it checks of each.
#include <algorithm>
#include <array>
#include <string>

#include "sim/app.hpp"

namespace keepnet::sim {

namespace {

constexpr std::uint64_t block_bytes = 256;

std::string label(const Conn& c) {
    return "connection " + std::to_string(c.id) + (c.is_client ? " client" : " server");
}

bool is_loss_of_connection(Error e) {
    return e != Error::would_block && e != Error::no_memory && e != Error::end_of_stream;
}

}  // namespace

bool App::transfer(Stack& stack, std::size_t i, Instant now, const Everyone& all) {
    Conn& c = value.conns[i];
    Live& live = value.live[i];
    if (!live.taken_early.empty()) {
        c.inbox.insert(c.inbox.end(), live.taken_early.begin(), live.taken_early.end());
        c.rx_taken += live.taken_early.size();
        live.taken_early.clear();
        return true;
    }
    const auto taken = plan_.host[host_].receives ? receive(stack, c) : peek_and_consume(stack, c);
    if (!taken) {
        live.may_read = false;
        if (taken.error() == Error::end_of_stream) {
            c.eof = true;
            ++progress_;
            on_end(c, all);
            return true;
        }
        if (is_loss_of_connection(taken.error())) on_error(stack, c, taken.error(), all);
        return false;
    }
    if (*taken == 0) throw Failure("a read gives bytes or says why not", label(c));
    c.rx_taken += *taken;
    progress_ += *taken;
    live.read_at = now + side_of(c).read_pause;
    live.handle_at = now + side_of(c).handle_pause;
    trace_.add(now, host_, What::transferred, c.id, *taken, c.rx_taken);
    if (dice_.one_in(8)) check(stack, i);
    return true;
}

std::expected<std::size_t, Error> App::receive(Stack& stack, Conn& c) {
    std::vector<std::uint8_t> bytes(side_of(c).read_chunk);
    const auto n = stack.receive(c.socket, bytes);
    if (n) c.inbox.insert(c.inbox.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(*n));
    return n;
}

std::expected<std::size_t, Error> App::peek_and_consume(Stack& stack, Conn& c) {
    std::array<ByteView, 4> views;
    const auto n = stack.peek(c.socket, views);
    if (!n) return std::unexpected(n.error());
    std::size_t taken = 0;
    for (std::size_t v = 0; v < *n; ++v) {
        const std::size_t part = std::min(views[v].size(), side_of(c).read_chunk - taken);
        c.inbox.insert(c.inbox.end(), views[v].begin(), views[v].begin() + static_cast<std::ptrdiff_t>(part));
        taken += part;
    }
    if (fault == AppFault::takes_twice && c.rx_taken > 5000) {
        fault = AppFault::none;
    } else if (taken != 0) {
        (void)stack.consume(c.socket, taken).value();
    }
    return taken;
}

void App::handle(Stack& stack, Conn& c, const Everyone& all) {
    if (c.id == 0) on_header(stack, c, all);
    const Conn* sender = all[c.peer]->find(c.id);
    if (sender == nullptr) throw Failure("the sender knows what it sent", label(c));
    for (const std::uint8_t byte : c.inbox) {
        const std::uint8_t right = content(*sender, c.rx_handled);
        if (byte != right) {
            throw Failure("every byte exactly once and in order",
                          label(c) + " at " + std::to_string(c.rx_handled) + ": " + std::to_string(byte) +
                              " instead of " + std::to_string(right));
        }
        ++c.rx_handled;
    }
    progress_ += c.inbox.size();
    trace_.add(now_, host_, What::handled, c.id, c.inbox.size(), c.rx_handled);
    c.inbox.clear();
}

void App::on_header(Stack& stack, Conn& c, const Everyone& all) {
    std::uint32_t id = 0, complement = 0;
    for (std::size_t k = 0; k < 4; ++k) {
        id = id << 8 | c.inbox[k];
        complement = complement << 8 | c.inbox[4 + k];
    }
    if (id != ~complement || id == 0 || id > plan_.connections.size() ||
        plan_.connections[id - 1].client != c.peer || plan_.connections[id - 1].server != host_ || all[c.peer]->find(id) == nullptr) {
        throw Failure("every byte exactly once and in order", "header of connection " + std::to_string(id));
    }
    if (value.find(id) != nullptr)
        throw Failure("a connection is accepted once", "connection " + std::to_string(id));
    c.id = id;
    set_options(stack, c);
}

bool App::write(Stack& stack, std::size_t i, Instant now, bool faults, const Everyone& all) {
    Conn& c = value.conns[i];
    const std::uint64_t want =
        std::min<std::uint64_t>(side_of(c).write_chunk, write_allowed(c, faults) - c.tx_done);
    while (c.nonces.size() * block_bytes < c.tx_done + want) c.nonces.push_back(dice_.next());
    Conn drafted;  // content() speaks of what is written; this is what is about to be
    drafted.id = c.id;
    drafted.is_client = c.is_client;
    drafted.tx_done = c.tx_done + want;
    drafted.nonces.swap(c.nonces);
    std::vector<std::uint8_t> bytes(want);
    for (std::uint64_t k = 0; k < want; ++k) bytes[k] = content(drafted, c.tx_done + k);
    drafted.nonces.swap(c.nonces);
    const auto n = stack.send(c.socket, bytes, dice_.one_in(8));
    value.live[i].write_at = now + side_of(c).write_pause;
    if (!n) {
        value.live[i].may_write = false;
        if (is_loss_of_connection(n.error())) on_error(stack, c, n.error(), all);
        // Nothing was given away: what is written instead, later, need not be the same.
        c.nonces.resize((c.tx_done + block_bytes - 1) / block_bytes);
        return false;
    }
    if (*n == 0 || *n > want) throw Failure("send takes a prefix", label(c));
    c.tx_done += *n;
    c.nonces.resize((c.tx_done + block_bytes - 1) / block_bytes);
    progress_ += *n;
    trace_.add(now, host_, What::wrote, c.id, *n, c.tx_done);
    if (dice_.one_in(8)) check(stack, i);
    return true;
}

void App::on_end(Conn& c, const Everyone& all) {
    const Conn* sender = c.id == 0 ? nullptr : all[c.peer]->find(c.id);
    if (sender == nullptr) throw Failure("the sender knows what it sent", label(c) + " at its end");
    if (!sender->fin_sent && !sender->closed) throw Failure("no end that nobody wrote", label(c));
    if (sender->tx_done != c.rx_taken) {
        throw Failure(
            "every byte exactly once and in order",
            label(c) + " ended at " + std::to_string(c.rx_taken) + " of " + std::to_string(sender->tx_done));
    }
}

/// A connection that fails was aborted by the other side's application, or the stack is wrong.
void App::on_error(Stack& stack, Conn& c, Error error, const Everyone& all) {
    trace_.add(now_, host_, What::reset, c.id, static_cast<std::uint64_t>(error));
    bool was_caused = false;
    if (const Conn* other = c.id == 0 ? nullptr : all[c.peer]->find(c.id)) was_caused = other->aborted;
    if (c.id == 0) {  // its client went before the header came
        was_caused = std::any_of(all[c.peer]->conns.begin(), all[c.peer]->conns.end(), [&](const Conn& other) {
            return other.aborted && value.find(other.id) == nullptr;
        });
    }
    if (!was_caused) throw Failure("no reset that nobody caused", label(c) + ": " + std::string(name(error)));
    (void)stack.close(c.socket).value();
    c.closed = c.reset = true;
    ++progress_;
}

void App::close(Stack& stack, Conn& c) {
    (void)stack.close(c.socket).value();
    c.closed = true;
    ++progress_;
    trace_.add(now_, host_, What::closed, c.id);
}

/// The handle's stream offsets are the application's positions (DURABILITY 3), and a restored connection that
/// heard its peer has a verdict.
void App::check(Stack& stack, std::size_t i) {
    const auto info = stack.info(value.conns[i].socket);
    if (!info) throw Failure("a handle stays valid", label(value.conns[i]));
    compare(*info, i);
}

void App::compare(const SocketInfo& info, std::size_t i) const {
    const Conn& c = value.conns[i];
    if (info.error != Error::invalid || info.phase == TcpPhase::closed) return;
    if (info.rx_consumed != c.rx_taken || info.tx_accepted != c.tx_done) {
        throw Failure("stream offsets are the application's positions",
                      label(c) + " took " + std::to_string(c.rx_taken) + " of " +
                          std::to_string(info.rx_consumed) + ", wrote " + std::to_string(c.tx_done) +
                          " of " + std::to_string(info.tx_accepted));
    }
    const Live& live = value.live[i];
    const bool heard = info.rx_consumed + info.receive_queue_bytes > live.received_before ||
                       info.tx_acknowledged > live.acknowledged_before;
    if (live.was_restored && heard && info.verdict != Verdict::resumed && info.verdict != Verdict::closed) {
        throw Failure("a restored connection that goes on has a verdict",
                      label(c) + ": " + std::string(name(info.verdict)));
    }
}

// --- datagrams: may be lost, doubled or reordered, but not be wrong ---

bool App::exchange_datagrams(Stack& stack, Instant now, bool faults, const Everyone& all) {
    if (value.may_read_udp) {
        const auto datagram = stack.peek_datagram(value.udp);
        if (datagram) {
            check_datagram(*datagram, all);
            (void)stack.consume_datagram(value.udp).value();
            return true;
        }
        value.may_read_udp = false;
        return false;
    }
    if (!faults || plan_.host[host_].udp_interval.ns == 0 || value.datagram_at > now) return false;
    value.datagram_at = now + plan_.host[host_].udp_interval;
    std::vector<std::uint8_t> bytes(8 + dice_.below(1000));
    for (std::size_t k = 0; k < bytes.size(); ++k) {
        bytes[k] = k < 8 ? static_cast<std::uint8_t>(value.datagrams_sent >> (8 * k))
                         : static_cast<std::uint8_t>(value.datagrams_sent * 31 + k);
    }
    if (stack.send_datagram(
            value.udp,
            {.destination = {.address = address_of((host_ + 1) % static_cast<unsigned>(plan_.host.size())),
                             .port = datagram_port}},
            bytes)) {
        ++value.datagrams_sent;
    }
    return true;
}

void App::check_datagram(const ReceivedDatagram& datagram, const Everyone& all) const {
    const ByteView bytes = datagram.payload;
    const unsigned from = host_of(datagram.source.address);
    if (from >= plan_.host.size()) throw Failure("a datagram comes from a host", std::to_string(from));
    std::uint64_t number = 0;
    for (std::size_t k = 8; k-- != 0;) number = number << 8 | (k < bytes.size() ? bytes[k] : 0U);
    for (std::size_t k = 8; k < bytes.size(); ++k) {
        if (bytes[k] != static_cast<std::uint8_t>(number * 31 + k)) {
            throw Failure("a datagram is whole or is not there", "datagram " + std::to_string(number));
        }
    }
    if (plan_.host[from].udp_held && number >= all[from]->datagrams_sent) {
        throw Failure("a held datagram waits for its commit", "datagram " + std::to_string(number));
    }
}

}  // namespace keepnet::sim
