#include "sim/value.hpp"

#include <type_traits>

#include "support/fields.hpp"

namespace keepnet::sim {

namespace {

struct Digest {
    std::uint64_t h = 0xcbf2'9ce4'8422'2325U;

    void add(std::uint64_t v) {
        h = (h ^ v) * 0x9e37'79b9'7f4a'7c15U;
        h ^= h >> 29;
    }
    void add(ByteView bytes) {
        std::size_t i = 0;
        for (; i + 8 <= bytes.size(); i += 8) {
            std::uint64_t word = 0;
            __builtin_memcpy(&word, bytes.data() + i, 8);
            add(word);
        }
        for (; i < bytes.size(); ++i) add(bytes[i]);
    }
};

struct Fields {
    Digest& digest;
    template <class T>
    void operator()(const T& leaf) const {
        test::for_each_number(leaf, [&](const auto& n) { digest.add(static_cast<std::uint64_t>(n)); });
    }
    void operator()(const Instant& t, durability::Ages) const { (*this)(t); }
};

void add_bytes(const World& w, const SliceNodeState& s, Digest& d) { d.add(w.pool.view(s.slice)); }
void add_bytes(const World& w, const DatagramState& s, Digest& d) { d.add(w.pool.view(s.payload)); }
template <class T>
void add_bytes(const World&, const T&, Digest&) {}

}  // namespace

std::uint64_t digest_of(World& w) {
    Digest digest;
    w.for_each_slab([&](const auto& slab) {
        digest.add(slab.kind());
        slab.for_each([&](std::uint32_t i, const auto& object) {
            digest.add(i), digest.add(slab.handle_of(i).generation());
            if constexpr (std::is_same_v<std::remove_cvref_t<decltype(object)>, StackState>) {
                StackState stack = object;
                stack.journal_lsn = 0;  // comes with the cut
                durability::for_each_field(stack, Fields{digest});
            } else {
                durability::for_each_field(object, Fields{digest});
            }
            add_bytes(w, object, digest);
        });
    });
    return digest.h;
}

}  // namespace keepnet::sim
