// A fixture's program under policy journal: its own snapshot is the one before its first call and is never
// renewed, so that a crash rolls it back to its start and it does everything again, from the journal
// (DURABILITY 7).
//
// The test says when a record is closed and when it is durable: Fixture::cut() and commit(). Otherwise the
// journal would write as soon as something waits, and no test could look at what waits.
#pragma once

#include <optional>
#include <vector>

#include <keepnet/journal.hpp>
#include <keepnet/stack.hpp>

#include "support/arena.hpp"
#include "support/journal_store.hpp"
#include "support/packet.hpp"

namespace keepnet::test {

class JournaledProgram {
  public:
    explicit JournaledProgram(Stack& stack);

    /// Closes the record: what has happened by now is in it. `now`: the stack's instant.
    void seal(Stack& stack, Instant now);
    /// The record that was sealed last is durable; the next poll hears of it.
    void sync() { store_.sync(); }
    /// Its write has failed. The journal will write the same bytes again.
    void fail(Stack& stack, Instant now);
    /// The store works again and has taken the record that had failed; seal() closes the next.
    void mend(Stack& stack, Instant now);
    /// A record is on its way: the journal is no value that could be swapped.
    [[nodiscard]] bool is_writing() const;
    /// The instant since which something waits for a record.
    [[nodiscard]] static Instant commit_wanted(Stack& stack);

    /// What was on its way to the store is lost, and the journal with its memory; a new one, of what is in
    /// the store.
    Journal& crash();
    /// The program, from its start to where the journal ends: each call must give what it had given.
    void replay(Stack& stack);
    [[nodiscard]] const Bytes& base() const { return base_; }

    /// `to` is `from` decoded: it takes its place, and what was freed since the last record is not forgotten.
    void move(Stack& from, Stack& to);

    std::vector<Bytes> datagrams{};  ///< that the program has sent, all of them: what it sends again
    bool is_failed = false;          ///< the last write has failed, and the journal still tries

  private:
    void gate();

    TestJournalStore store_;
    Arena memory_;
    std::optional<Journal> journal_;
    Bytes base_;
};

}  // namespace keepnet::test
