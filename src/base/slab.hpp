// Fixed-capacity array of state objects of one type, in the arena. `edit` is the one mutable access: it stamps the
// object with the number of the coming cut and, while an earlier cut is unread, first copies the object aside
// (DURABILITY 5). Slots above the high-water mark are never touched. The lowest free slot is taken first, so that
// a restored run allocates as the original would have.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <type_traits>

#include <keepnet/assert.hpp>

#include "base/arena.hpp"
#include "base/bit_tree.hpp"
#include "base/change_index.hpp"
#include "base/cut_control.hpp"
#include "base/handle.hpp"
#include "base/planted.hpp"
#include "base/undo_log.hpp"

namespace keepnet {

struct SlotMeta {
    /// 0: free.
    [[nodiscard]] constexpr std::uint64_t generation() const { return word >> shadow_bits; }
    /// 1 + index of the copy that belongs to the unread cut; 0: none. Means nothing when `stamp` is not behind that cut.
    [[nodiscard]] constexpr std::uint32_t shadow() const { return static_cast<std::uint32_t>(word & shadow_max); }
    constexpr void set_generation(std::uint64_t generation) { word = generation << shadow_bits | shadow(); }
    constexpr void set_shadow(std::uint32_t shadow) { word = (word & ~std::uint64_t{shadow_max}) | shadow; }

    static constexpr unsigned shadow_bits = handle_index_bits;
    static constexpr std::uint32_t shadow_max = handle_index_max;
    std::uint64_t word = 0;  ///< both, so that a slot costs 16 bytes
    CutNumber stamp = 0;     ///< CutControl::current at the last edit; also of a slot that was freed
};
static_assert(sizeof(SlotMeta) == 16);

/// What a slab keeps beside its slots.
struct SlabCounts {
    std::uint32_t in_use = 0;
    std::uint32_t high_water = 0;
    std::uint32_t shadows = 0;
};

template <class T>
struct Shadow {
    std::uint64_t generation = 0;
    CutNumber stamp = 0;
    T value{};
};

/// Called before the first edit of an object since a cut, with the object still as it was at the cut. `stamp`: it is
/// unchanged since every cut numbered `stamp` or more. Specialise it for objects that carry durability marks.
template <class T>
struct FirstEditAfterCut {
    static void run(T&, CutNumber /*stamp*/, const CutControl&) {}
};

/// What the journal writes of one object that changed: at most so many bytes.
template <class T>
inline constexpr std::size_t delta_bytes_max = sizeof(T) + 48;

template <class T>
class Slab {
    static_assert(std::is_trivially_copyable_v<T> && std::is_standard_layout_v<T>);

  public:
    /// `generations` null: objects that are only ever linked to, by index. A queue entry for every segment would use
    /// up the one counter behind all handles in days.
    void place(ArenaCarver& carver, std::uint16_t kind, std::uint32_t capacity, std::uint32_t shadow_capacity,
               CutControl* control, std::uint64_t* generations) {
        kind_ = kind;
        capacity_ = capacity;
        shadow_capacity_ = std::min({capacity, shadow_capacity, SlotMeta::shadow_max});
        control_ = control;
        generations_ = generations;
        counts_ = carver.take<SlabCounts>(1);
        meta_ = carver.take<SlotMeta>(capacity);
        slots_ = carver.take<T>(capacity);
        shadows_ = carver.take<Shadow<T>>(shadow_capacity_);
        free_.place(carver, capacity);
        changed_.place(carver, capacity);
    }
    /// Once, over zeroed memory.
    void initialize() { free_.fill(true); }
    /// Null: steps cannot be taken back.
    void set_undo(UndoBlock* undo) { undo_ = undo; }
    [[nodiscard]] static constexpr std::size_t object_bytes() { return sizeof(T); }

    [[nodiscard]] std::uint32_t capacity() const { return capacity_; }
    [[nodiscard]] std::uint32_t in_use() const { return counts_->in_use; }
    [[nodiscard]] std::uint32_t available() const { return capacity_ - counts_->in_use; }
    [[nodiscard]] std::uint32_t high_water() const { return counts_->high_water; }
    [[nodiscard]] std::uint16_t kind() const { return kind_; }
    /// The highest generation there may be.
    [[nodiscard]] std::uint64_t last_generation() const { return generations_ == nullptr ? 1 : *generations_; }

    /// A new object, T{}; or a null handle when the slab is full.
    Handle<T> create() {
        const std::uint32_t index = free_.find(0);
        if (index == BitTree::none) return {};
        if (generations_ == nullptr) return create_at(index, 1);
        if (*generations_ >= handle_generation_max) return {};
        return create_at(index, ++*generations_);
    }
    /// For decode only: what changed since which cut is as it was.
    void set_stamp(std::uint32_t index, CutNumber stamp) {
        meta_[index].stamp = stamp;
        changed_.note(index, stamp);
    }
    /// For decode only: puts an object back where it was. The slot must be free.
    Handle<T> create_at(std::uint32_t index, std::uint64_t generation) {
        KEEPNET_ASSERT(index < capacity_ && !is_live(index) && generation != 0);
        if (undo_ != nullptr) undo_save(*undo_, kind_, index, &meta_[index], nullptr, 0);
        free_.clear(index);
        ++counts_->in_use;
        counts_->high_water = std::max(counts_->high_water, index + 1);
        SlotMeta& meta = meta_[index];
        if (meta.stamp != control_->current) {
            if (meta.stamp <= control_->unread) meta.set_shadow(0);  // else it was freed and is taken again behind the cut
            stamp(index);
        }
        meta.set_generation(generation);
        slots_[index] = T{};
        return Handle<T>::make(index, generation);
    }
    void destroy(Handle<T> handle) {
        KEEPNET_ASSERT(find(handle) != nullptr);
        destroy(handle.index());
    }
    template <std::same_as<std::uint32_t> Index>
    void destroy(Index index) {
        touch(index);
        meta_[index].set_generation(0);
        free_.set(index);
        --counts_->in_use;
    }

    /// Null when the handle is stale.
    [[nodiscard]] const T* find(Handle<T> handle) const {
        const std::uint32_t index = handle.index();
        if (!handle || index >= capacity_ || meta_[index].generation() != handle.generation()) return nullptr;
        return &slots_[index];
    }
    [[nodiscard]] const T& get(Handle<T> handle) const {
        const T* object = find(handle);
        KEEPNET_ASSERT(object != nullptr);
        return *object;
    }
    // By bare index. A template, so that a braced handle is never taken for a number.
    template <std::same_as<std::uint32_t> Index>
    [[nodiscard]] const T& get(Index index) const {
        KEEPNET_ASSERT(is_live(index));
        return slots_[index];
    }
    [[nodiscard]] bool is_live(std::uint32_t index) const {
        return index < capacity_ && meta_[index].generation() != 0;
    }
    [[nodiscard]] Handle<T> handle_of(std::uint32_t index) const {
        return Handle<T>::make(index, meta_[index].generation());
    }
    [[nodiscard]] std::uint32_t index_of(const T& object) const {
        return static_cast<std::uint32_t>(&object - slots_);
    }

    /// The reference is good until the step ends.
    T& edit(Handle<T> handle) {
        KEEPNET_ASSERT(find(handle) != nullptr);
        touch(handle.index());
        return slots_[handle.index()];
    }
    template <std::same_as<std::uint32_t> Index>
    T& edit(Index index) {
        KEEPNET_ASSERT(is_live(index));
        touch(index);
        return slots_[index];
    }

    /// The next live slot that is not below `from`, or BitTree::none.
    [[nodiscard]] std::uint32_t next(std::uint32_t from) const {
        for (; from < counts_->high_water; ++from) {
            if (meta_[from].generation() != 0) return from;
        }
        return BitTree::none;
    }
    template <class F>
    void for_each(F&& f) const {
        for (std::uint32_t i = next(0); i != BitTree::none; i = next(i + 1)) f(i, slots_[i]);
    }
    /// Was the object edited after cut `n`?
    [[nodiscard]] bool changed_since(std::uint32_t index, CutNumber n) const { return meta_[index].stamp > n; }
    /// The first slot that is not below `from` and changed after cut `n`: was edited, taken or freed; or BitTree::none.
    /// Looks at one number for 4096 slots in which nothing did. What changed before a decode is no longer known.
    [[nodiscard]] std::uint32_t next_changed(std::uint32_t from, CutNumber n) const {
        while (from < counts_->high_water) {
            if (const std::uint32_t skip = changed_.unchanged_from(from, n); skip != 0) {
                from += skip;
            } else if (meta_[from].stamp > n) {
                return from;
            } else {
                ++from;
            }
        }
        return BitTree::none;
    }
    /// f(index, is_live) for each slot that changed after cut `n`.
    template <class F>
    void for_each_changed(CutNumber n, F&& f) const {
        for (std::uint32_t i = next_changed(0, n); i != BitTree::none; i = next_changed(i + 1, n)) f(i, is_live(i));
    }

    // --- the sweep of a cut (durability/) ---

    struct Image {
        const T* value = nullptr;  ///< null: nothing was there at the cut
        std::uint64_t generation = 0;
        CutNumber stamp = 0;
    };
    /// The object in slot `index` as it was at the unread cut. Only before the slot has been passed by the sweep.
    [[nodiscard]] Image at_cut(std::uint32_t index) const {
        const SlotMeta& meta = meta_[index];
        if (meta.stamp <= control_->unread) {
            return meta.generation() == 0 ? Image{} : Image{&slots_[index], meta.generation(), meta.stamp};
        }
        if (meta.shadow() == 0) return {};
        const Shadow<T>& shadow = shadows_[meta.shadow() - 1];
        return {&shadow.value, shadow.generation, shadow.stamp};
    }
    /// When the sweep is over: no copy is of use any more.
    void forget_shadows() { counts_->shadows = 0; }

    /// Everything that is not state (free set, shadows, index of changes), from the slots. For attach.
    void rebuild() {
        free_.fill(true);
        counts_->in_use = 0;
        counts_->shadows = 0;
        changed_.clear();
        for (std::uint32_t i = 0; i < counts_->high_water; ++i) {
            meta_[i].set_shadow(0);
            changed_.note(i, meta_[i].stamp);
            if (meta_[i].generation() == 0) continue;
            free_.clear(i);
            ++counts_->in_use;
        }
    }
    /// For a step that is taken back: the slot as it was. Behind it everything that is not state is rebuilt.
    void put_back(std::uint32_t index, const std::array<std::uint64_t, 2>& meta, const void* object, std::size_t bytes) {
        static_assert(sizeof(SlotMeta) == sizeof meta);
        std::memcpy(static_cast<void*>(&meta_[index]), meta.data(), sizeof meta);
        if (bytes != 0) std::memcpy(&slots_[index], object, bytes);
    }
    /// False when the arena's own numbers make no sense.
    [[nodiscard]] bool is_sane() const {
        if (counts_->high_water > capacity_) return false;
        const std::uint64_t last = last_generation();
        for (std::uint32_t i = 0; i < counts_->high_water; ++i) {
            if (meta_[i].generation() > last || meta_[i].stamp > control_->current) return false;
        }
        return true;
    }

  private:
    void touch(std::uint32_t index) {
        if (undo_ != nullptr) [[unlikely]] undo_save(*undo_, kind_, index, &meta_[index], &slots_[index], sizeof(T));
        if (meta_[index].stamp != control_->current) [[unlikely]] first_touch(index);
    }
    [[gnu::noinline]] void first_touch(std::uint32_t index) {
        // Behind the unread cut already: what was copied then, or was not there, is still what the cut holds.
        if (meta_[index].stamp <= control_->unread) copy_aside(index);
        FirstEditAfterCut<T>::run(slots_[index], meta_[index].stamp, *control_);
        stamp(index);
    }
    void copy_aside(std::uint32_t index) {
        SlotMeta& meta = meta_[index];
        if (is_planted(Fault::stale_shadow) && meta.shadow() != 0) return;
        meta.set_shadow(0);
        if (!control_->sweeping || control_->is_swept(kind_, index)) return;
        if (counts_->shadows == shadow_capacity_) {
            control_->overrun = true;
            return;
        }
        shadows_[counts_->shadows] = {meta.generation(), meta.stamp, slots_[index]};
        meta.set_shadow(++counts_->shadows);
    }
    void stamp(std::uint32_t index) {
        meta_[index].stamp = control_->current;
        changed_.note(index, control_->current);
        control_->pending_bytes += delta_bytes_max<T>;
    }

    SlabCounts* counts_ = nullptr;
    SlotMeta* meta_ = nullptr;
    T* slots_ = nullptr;
    Shadow<T>* shadows_ = nullptr;
    CutControl* control_ = nullptr;
    std::uint64_t* generations_ = nullptr;
    BitTree free_;
    ChangeIndex changed_;
    UndoBlock* undo_ = nullptr;
    std::uint32_t capacity_ = 0;
    std::uint32_t shadow_capacity_ = 0;
    std::uint16_t kind_ = 0;
};

}  // namespace keepnet
