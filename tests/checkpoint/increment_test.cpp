// Increments (DURABILITY 5): base and increments are, at every cut, what a whole snapshot would have been; their cost
// follows what changed; a chain that does not fit is refused.
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <optional>

#include "checkpoint/layer.hpp"
#include "durability/cut.hpp"
#include "support/busy_pair.hpp"
#include "support/sample.hpp"

using namespace keepnet;
using namespace keepnet::test;
using checkpoint::Code;

namespace {

using Bytes = std::vector<std::uint8_t>;

std::vector<ByteView> views(const std::vector<Bytes>& chain) { return {chain.begin(), chain.end()}; }

Bytes encode(Stack& stack, CutId cut, const checkpoint::EncodeOptions& options = {}) {
    checkpoint::VectorSink sink;
    const auto done = checkpoint::encode(stack, cut, options, sink);
    if (!done) FAIL(done.error().message);
    return std::move(sink.bytes);
}
/// A cut, encoded and committed.
Bytes take(Stack& stack, CutId since = 0, const checkpoint::EncodeOptions& options = {}) {
    const auto cut = stack.cut(since);
    if (!cut) FAIL(name(cut.error()));
    Bytes bytes = encode(stack, *cut, options);
    REQUIRE(stack.committed(*cut).has_value());
    return bytes;
}
CutId last_cut(const Stack& stack) { return stack.core().world.cuts().current - 1; }

Bytes compact(const std::vector<Bytes>& chain) {
    checkpoint::VectorSink sink;
    const auto done = checkpoint::compact(views(chain), sink);
    if (!done) FAIL(done.error().message);
    return std::move(sink.bytes);
}

/// The canonical bytes of the state that a chain decodes to.
Bytes canonical(const StackConfig& config, const std::vector<Bytes>& chain) {
    Arena arena(Stack::arena_bytes(config));
    auto copy = checkpoint::decode(arena.span(), config, views(chain), true);
    if (!copy) FAIL(copy.error().message);
    return encode(*copy, *copy->cut());
}

/// The same calls on two pairs of stacks: one takes whole cuts, the other increments.
struct Twins {
    explicit Twins(std::uint64_t seed) : whole(seed), incremental(seed) {}
    template <class F>
    void both(F&& f) {
        f(whole), f(incremental);
    }
    BusyPair whole;
    BusyPair incremental;
};

}  // namespace

TEST_CASE("base and increments are at every cut, byte for byte, the whole snapshot") {
    std::size_t cuts = 0;
    std::size_t overlapping = 0;
    std::size_t tombstones = 0;
    for (std::uint64_t seed = 1; seed <= 12; ++seed) {
        Twins twins(seed);
        std::mt19937_64 random(seed);
        std::vector<Bytes> chain;
        std::vector<CutId> waiting;
        CutId since = 0;
        for (int round = 0; round < 60; ++round) {
            INFO("seed " << seed << " round " << round);
            for (auto n = random() % 12; n != 0; --n) twins.both([](BusyPair& p) { p.turn(); });
            if (random() % 3 == 0) twins.both([](BusyPair& p) { p.commit_other(); });
            // Up to two cuts wait for their commit.
            while (!waiting.empty() && (waiting.size() == 2 || random() % 3 != 0)) {
                twins.both([&](BusyPair& p) { REQUIRE(p.stack().committed(waiting.front()).has_value()); });
                waiting.erase(waiting.begin());
            }
            const auto cut = twins.whole.stack().cut();
            REQUIRE(cut.has_value());
            REQUIRE(twins.incremental.stack().cut(since) == cut);
            const checkpoint::EncodeOptions options{.blobs = {{"round", {static_cast<std::uint8_t>(round)}}}};
            const Bytes whole = encode(twins.whole.stack(), *cut, options);
            chain.push_back(encode(twins.incremental.stack(), *cut, options));
            ++cuts;
            overlapping += waiting.size();
            if (chain.size() > 1) {
                const auto envelope = checkpoint::open_envelope(chain.back());
                for (const auto& words : envelope->frames) {
                    const checkpoint::FrameReader frame(words);
                    if (frame->which() == checkpoint::schema::Frame::FREED) {
                        tombstones += frame->getFreed().getSlots().size();
                    }
                }
            }
            REQUIRE(compact(chain) == whole);
            REQUIRE(canonical(twins.whole.config(), chain) == canonical(twins.whole.config(), {whole}));
            if (random() % 10 == 0) {
                // Given up: the next increment starts from the cut before it.
                twins.both([&](BusyPair& p) { REQUIRE(p.stack().abandoned(*cut).has_value()); });
                chain.pop_back();
                if (chain.empty()) since = 0;
                continue;
            }
            waiting.push_back(*cut);
            since = *cut;
            if (random() % 8 == 0) chain.assign(1, compact(chain));
        }
    }
    REQUIRE(cuts == 12 * 60);
    REQUIRE(overlapping > 100);
    REQUIRE(tombstones > 1000);
}

TEST_CASE("an increment holds its cut's instant, whatever is edited until it is read") {
    std::size_t increments = 0;
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        INFO("seed " << seed);
        BusyPair pair(seed);
        std::mt19937_64 random(seed);
        std::vector<Bytes> chain;
        CutId since = 0;
        for (int round = 0; round < 12; ++round) {
            for (int i = 0; i < 6; ++i) pair.turn();
            pair.commit_other();
            const Content expected = content_of(pair.w());
            const auto cut = pair.stack().cut(since);
            REQUIRE(cut.has_value());
            checkpoint::VectorSink sink;
            {
                checkpoint::Encoder encoder(pair.stack(), *cut, {}, sink);
                for (bool done = false; !done;) {
                    if (random() % 3 == 0) pair.turn();
                    if (random() % 5 == 0) ++pair.w().cuts().current;  // a number without a cut
                    durability::sweep(pair.w(), pair.stack().core().sweep_queue,
                                      1 + static_cast<std::uint32_t>(random() % 9));
                    const auto progress = encoder.step();
                    if (!progress) FAIL(progress.error().message);
                    done = *progress == checkpoint::Encoder::Progress::done;
                }
            }
            chain.push_back(std::move(sink.bytes));
            REQUIRE(pair.stack().committed(*cut).has_value());
            increments += since != 0 ? 1 : 0;
            since = *cut;
            Arena arena(Stack::arena_bytes(pair.config()));
            auto copy = checkpoint::decode(arena.span(), pair.config(), views(chain), true);
            if (!copy) FAIL(copy.error().message);
            REQUIRE(content_of(copy->core().world) == expected);
        }
    }
    REQUIRE(increments == 40 * 11);
}

TEST_CASE("an increment may be taken on any cut that is not too old, and starts from what that one held") {
    BusyPair pair(3);
    for (int i = 0; i < 30; ++i) pair.turn();
    const Bytes base = take(pair.stack());
    const CutId first = last_cut(pair.stack());
    for (int k = 0; k < 5; ++k) {
        for (int i = 0; i < 10; ++i) pair.turn();
        const Content expected = content_of(pair.w());
        const Bytes differential = take(pair.stack(), first);  // always on the first, not on one another
        Arena arena(Stack::arena_bytes(pair.config()));
        const std::vector<Bytes> chain{base, differential};
        auto copy = checkpoint::decode(arena.span(), pair.config(), views(chain), true);
        if (!copy) FAIL(copy.error().message);
        REQUIRE(content_of(copy->core().world) == expected);
        const auto summary = checkpoint::summarize(differential);
        REQUIRE(summary->base_cut == first);
        REQUIRE(summary->base_id == checkpoint::summarize(base)->id);
    }
    for (int k = 0; k < 4; ++k) take(pair.stack());
    REQUIRE(pair.stack().cut(first).error() == Error::unknown_cut);
    REQUIRE(pair.stack().cut(last_cut(pair.stack()) + 1).error() == Error::unknown_cut);
    const auto given_up = pair.stack().cut();
    REQUIRE(pair.stack().abandoned(*given_up).has_value());
    REQUIRE(pair.stack().cut(*given_up).error() == Error::unknown_cut);
    REQUIRE(pair.w().cuts().unread == 0);
}

TEST_CASE("one busy connection among 10,000 idle ones does not cost 10,000") {
    StackConfig config = sample_config();
    config.capacity.sockets = 10'016;
    config.poll.sweep_objects = 32;
    Sample sample(config);
    for (int i = 0; i < 10'000; ++i) REQUIRE(sample.stack->open_tcp().has_value());
    World& w = sample.w();
    const Bytes base = take(*sample.stack);
    const CutId since = last_cut(*sample.stack);
    w.sockets.edit(5'000U).options.traffic_class = 8;
    w.sockets.destroy(7'000U);
    ++w.count().frames_received;
    const Content expected = content_of(w);
    const auto cut = sample.stack->cut(since);
    REQUIRE(cut.has_value());
    REQUIRE_FALSE(sample.stack->sweep());  // 32 objects are enough: it is all there
    REQUIRE_FALSE(w.cuts().sweeping);
    const Bytes increment = encode(*sample.stack, *cut);
    REQUIRE(base.size() > 1'000'000);
    REQUIRE(increment.size() < 4096);
    Arena arena(Stack::arena_bytes(config));
    auto copy = checkpoint::decode(arena.span(), config, std::vector<ByteView>{base, increment}, true);
    if (!copy) FAIL(copy.error().message);
    REQUIRE(content_of(copy->core().world) == expected);
}

TEST_CASE("a chain needs the capacity of what it comes to, not of what was there meanwhile") {
    StackConfig config = sample_config();
    Sample sample(config);
    std::vector<SocketHandle> sockets;
    for (int i = 0; i < 10; ++i) sockets.push_back(*sample.stack->open_tcp());
    std::vector<Bytes> chain{take(*sample.stack)};
    for (const SocketHandle s : sockets) REQUIRE(sample.stack->close(s).has_value());
    const Content expected = content_of(sample.w());
    chain.push_back(take(*sample.stack, last_cut(*sample.stack)));
    config.capacity.sockets = 4;
    Arena arena(Stack::arena_bytes(config));
    REQUIRE(checkpoint::decode(arena.span(), config, chain[0], true).error().code == Code::too_large);
    auto copy = checkpoint::decode(arena.span(), config, views(chain), true);
    if (!copy) FAIL(copy.error().message);
    REQUIRE(content_of(copy->core().world) == expected);
    config.capacity.sockets = 3;
    REQUIRE(checkpoint::decode(arena.span(), config, views(chain)).error().code == Code::too_large);
}

TEST_CASE("a chain that does not fit is refused whole, and says why") {
    BusyPair pair(5);
    BusyPair stranger(6);
    std::vector<Bytes> chain;
    std::vector<Bytes> strange;
    for (int k = 0; k < 4; ++k) {
        for (int i = 0; i < 20; ++i) pair.turn(), stranger.turn();
        chain.push_back(take(pair.stack(), k == 0 ? 0 : last_cut(pair.stack())));
        strange.push_back(take(stranger.stack(), k == 0 ? 0 : last_cut(stranger.stack())));
    }
    const Bytes whole = compact(chain);
    std::string says;
    Code expected = Code::wrong_chain;
    std::vector<Bytes> wrong = chain;
    SECTION("the base is missing") {
        wrong.erase(wrong.begin());
        says = "snapshot 1 of 3: an increment on cut 1, whose snapshot is not there";
    }
    SECTION("an increment alone") {
        wrong.assign(1, chain[1]);
        says = "an increment on cut 1, whose snapshot is not there";
    }
    SECTION("one is missing") {
        wrong.erase(wrong.begin() + 1);
        says = "snapshot 2 of 3: an increment on cut 2 stands behind cut 1: one is missing";
    }
    SECTION("swapped") {
        std::swap(wrong[1], wrong[2]);
        says = "another order";
    }
    SECTION("twice the same") {
        wrong[2] = chain[1];
        says = "an increment on cut 1 stands behind cut 2";
    }
    SECTION("an increment of another stack, on a cut of the same number") {
        wrong[1] = strange[1];
        says = "snapshot 2 of 4: an increment on cut 1 stands behind cut 1 of another run or another stack";
    }
    SECTION("another base") {
        wrong[0] = strange[0];
        says = "snapshot 2 of 4: an increment on cut 1 stands behind cut 1 of another run or another stack";
    }
    SECTION("a base in the middle") {
        wrong[2] = whole;
        says = "a whole snapshot, of cut 4, stands behind cut 2";
    }
    SECTION("nothing") {
        wrong.clear();
        expected = Code::empty;
        says = "no snapshot";
    }
    SECTION("an empty increment") {
        wrong[3].clear();
        expected = Code::empty;
        says = "snapshot 4 of 4: the snapshot is empty";
    }
    SECTION("a truncated increment") {
        wrong[2].resize(wrong[2].size() - 8);
        expected = Code::truncated;
        says = "snapshot 3 of 4: ";
    }
    SECTION("an increment of another version") {
        wrong[1][8] = 9;
        expected = Code::newer_version;
        says = "snapshot 2 of 4: ";
    }
    Arena arena(Stack::arena_bytes(pair.config()));
    const auto restored = checkpoint::restore(arena.span(), pair.config(), views(wrong), {});
    REQUIRE_FALSE(restored.has_value());
    INFO(restored.error().message);
    REQUIRE(restored.error().code == expected);
    REQUIRE(restored.error().message.find(says) != std::string::npos);
    REQUIRE(std::ranges::all_of(arena.span(), [](std::byte b) { return b == std::byte{0}; }));
    checkpoint::VectorSink sink;
    REQUIRE(checkpoint::compact(views(wrong), sink).error().code == expected);
    REQUIRE(sink.bytes.empty());
    REQUIRE(canonical(pair.config(), chain) == canonical(pair.config(), {whole}));
}

TEST_CASE("increments of two runs that went on from one snapshot do not fit each other") {
    BusyPair pair(8);
    for (int i = 0; i < 40; ++i) pair.turn();
    const Bytes start = take(pair.stack());
    std::vector<Bytes> runs[2];
    for (std::uint8_t i = 0; i < 2; ++i) {
        Arena arena(Stack::arena_bytes(pair.config()));
        checkpoint::RestoreOptions options{.now = Instant{5}, .arena_is_zeroed = true};
        options.entropy.fill(static_cast<std::uint8_t>(i + 1));
        auto restored = checkpoint::restore(arena.span(), pair.config(), start, options);
        REQUIRE(restored.has_value());
        // What was known before the restore is not: no increment can follow what another incarnation wrote.
        REQUIRE(restored->stack.cut(checkpoint::summarize(start)->cut).error() == Error::unknown_cut);
        runs[i].push_back(take(restored->stack));
        restored->stack.poll(Instant{5} + seconds(1));
        runs[i].push_back(take(restored->stack, last_cut(restored->stack)));
    }
    REQUIRE(checkpoint::summarize(runs[0][1])->base_cut == checkpoint::summarize(runs[1][0])->cut);
    Arena arena(Stack::arena_bytes(pair.config()));
    const std::vector<ByteView> crossed{runs[0][0], runs[1][1]};
    REQUIRE(checkpoint::restore(arena.span(), pair.config(), crossed, {}).error().code == Code::wrong_chain);
    REQUIRE(checkpoint::restore(arena.span(), pair.config(), views(runs[0]), {}).has_value());
}

TEST_CASE("a flipped bit anywhere in an increment is found") {
    BusyPair pair(7);
    for (int i = 0; i < 60; ++i) pair.turn();
    std::vector<Bytes> chain{take(pair.stack())};
    for (int i = 0; i < 3; ++i) pair.turn();
    chain.push_back(take(pair.stack(), last_cut(pair.stack())));
    Arena arena(Stack::arena_bytes(pair.config()));
    const Bytes good = chain[1];
    for (std::size_t at = 0; at < good.size(); ++at) {
        chain[1][at] = static_cast<std::uint8_t>(good[at] ^ 1U << (at % 8));
        const auto restored = checkpoint::restore(arena.span(), pair.config(), views(chain), {});
        chain[1][at] = good[at];
        REQUIRE_FALSE(restored.has_value());
        const Code code = restored.error().code;
        REQUIRE((code == Code::damaged || code == Code::not_a_snapshot || code == Code::newer_version ||
                 code == Code::truncated));
    }
    for (std::size_t size = 0; size < good.size(); size += 8) {
        chain[1].resize(size);
        REQUIRE_FALSE(checkpoint::restore(arena.span(), pair.config(), views(chain), {}).has_value());
        chain[1] = good;
    }
    // Behind a right checksum, too: whatever a word says, an error or a state that may run.
    std::size_t refused = 0;
    for (std::size_t at = checkpoint::prelude_bytes; at + 16 < good.size(); at += 8) {
        chain[1][at + at / 8 % 8] ^= static_cast<std::uint8_t>(1U << (at / 64 % 8));
        sign(chain[1]);
        const auto restored = checkpoint::restore(arena.span(), pair.config(), views(chain), {});
        chain[1] = good;
        if (!restored) ++refused;
    }
    REQUIRE(refused > 0);
}

// --- the cut ---

TEST_CASE("a cut that is read slowly parks only what was filled before it") {
    StackConfig config = busy_config();
    config.policy = DurabilityPolicy::none;
    BusyPair pair(11, config);
    for (int i = 0; i < 200; ++i) pair.turn();
    World& w = pair.w();
    const std::uint32_t filled = w.pool.in_use();
    REQUIRE(filled > 20);
    const auto cut = pair.stack().cut();
    checkpoint::VectorSink sink;
    checkpoint::Encoder encoder(pair.stack(), *cut, {}, sink);
    // The reader takes a second, in which what comes in would fill the pool a hundred times over.
    const std::uint64_t before = pair.stack().statistics().frames_received;
    const std::uint64_t bytes_before = pair.stack().statistics().bytes_received;
    std::uint32_t parked_most = 0;
    for (int ms = 0; ms < 1000 || pair.stack().statistics().frames_received - before < 100 * w.pool.capacity(); ++ms) {
        REQUIRE(ms < 200'000);
        pair.turn();
        parked_most = std::max(parked_most, w.pool.parked());
        REQUIRE(w.pool.parked() <= filled);
    }
    REQUIRE(pair.stack().statistics().bytes_received > bytes_before);
    REQUIRE(parked_most > 0);
    REQUIRE(w.cuts().unread == *cut);
    while (encoder.step() != checkpoint::Encoder::Progress::done) pair.stack().sweep();
    REQUIRE(pair.stack().committed(*cut).has_value());
    pair.poll();
    REQUIRE(w.pool.parked() == 0);
}

TEST_CASE("a poll sweeps no more of a cut than it is told to") {
    StackConfig config = sample_config();
    config.capacity.sockets = 4'000;
    config.poll.sweep_objects = 16;
    Sample sample(config);
    for (int i = 0; i < 3'900; ++i) REQUIRE(sample.stack->open_tcp().has_value());
    World& w = sample.w();
    (void)take(*sample.stack);
    const CutId since = last_cut(*sample.stack);
    for (std::uint32_t i = 100; i < 3'800; i += 2) w.sockets.edit(i).options.traffic_class = 1;
    for (const CutId from : {CutId{0}, since}) {
        const auto cut = sample.stack->cut(from);
        durability::CutReader reader(w, sample.core().sweep_queue, *cut);
        std::size_t objects = 0;
        for (bool ended = false; !ended;) {
            sample.stack->poll(w.stack().now);
            std::size_t of_this_poll = 0;
            durability::Image image;
            for (;;) {
                const auto got = reader.next(image);
                ended = got == durability::CutReader::Got::end;
                if (got != durability::CutReader::Got::image) break;
                ++of_this_poll;
                reader.pop();
            }
            REQUIRE(of_this_poll <= config.poll.sweep_objects);
            objects += of_this_poll;
        }
        reader.finish();
        REQUIRE(objects >= (from == 0 ? 3'900U : 1'850U));
        REQUIRE((from == 0 || objects < 1'900U));
        REQUIRE(sample.stack->committed(*cut).has_value());
    }
}
