# The snapshot format (docs/snapshot-format.md). Public and versioned: fields are only added, with the next free number;
# none is ever renumbered, removed or given another meaning. Enumerant 0 is always `invalid`.
#
# An instant is an Int64 of nanoseconds relative to the cut; 2^63-1: never; -2^63: long ago. A duration is nanoseconds.
# A link is the slot of another object plus one; 0: none. A handle is generation * 2^24 + slot; 0: none.
# The number of a cut has 64 bits: its lower half stands in the field of that name, the upper half in ...High (1.1).
@0xd3a5c0f7b1e94a62;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("keepnet::checkpoint::schema");

struct Frame {
  union {
    invalid @0 :Void;
    header @1 :Header;
    stack @2 :Stack;
    statistics @3 :Statistics;
    interfaces @4 :List(Interface);
    addresses @5 :List(InterfaceAddress);
    routes @6 :List(Route);
    neighbors @7 :List(Neighbor);
    pendingPackets @8 :PendingPackets;
    destinations @9 :List(Destination);
    sockets @10 :List(Socket);
    connections @11 :List(TcpConnection);
    listeners @12 :List(TcpListener);
    udpSockets @13 :List(UdpSocket);
    datagrams @14 :Datagrams;
    sliceNodes @15 :SliceNodes;
    buffers @16 :List(Buffer);
    blob @17 :Blob;
    trailer @18 :Trailer;
    freed @19 :Freed;              # 1.1; in an increment alone, and in every one
    sentRanges @20 :List(SentRange);  # behind sliceNodes
  }
}

struct Header {
  cut @0 :UInt32;                  # number of the cut
  instant @1 :Int64;               # of the cut, on the clock of the stack that was cut, ns
  epoch @2 :UInt64;                # restores before this run
  hasWallClock @3 :Bool;
  wallClock @4 :Int64;             # at the cut, ns since 1970, as the embedder gave it
  wireClockReserved @5 :Int64;     # ns; a restored stack's TSval and ISN clock starts no earlier
  lastGeneration @6 :UInt64;       # the counter behind all handles
  earlierCut :group {              # another cut that still waited for its commit
    number @7 :UInt32;             # 0: none
    place @8 :UInt8;
    instant @9 :Int64;             # relative to the cut
    wireClockReserved @10 :Int64;
    lastGeneration @11 :UInt64;
  }
  capacity :group {                # with which it was written
    interfaces @12 :UInt32;
    addresses @13 :UInt32;
    routes @14 :UInt32;
    neighbors @15 :UInt32;
    pendingPackets @16 :UInt32;
    destinations @17 :UInt32;
    sockets @18 :UInt32;
    tcpConnections @19 :UInt32;
    tcpListeners @20 :UInt32;
    tcpTombstones @21 :UInt32;
    udpSockets @22 :UInt32;
    udpDatagrams @23 :UInt32;
    sliceNodes @24 :UInt32;
    packetBuffers @25 :UInt32;
    transmitRing @26 :UInt32;
    shadowObjects @27 :UInt32;
    sweepQueueBytes @28 :UInt32;
    sentRanges @35 :UInt32;        # 0: from before there were any
  }
  cutHigh @29 :UInt32;             # 1.1, as is the rest
  earlierCutHigh @30 :UInt32;
  stampBase @31 :UInt64;           # to be added to every stamp that is not 0
  id @32 :UInt64;                  # of the state at the cut, so that increments know what they follow; 0: unknown
  baseCut @33 :UInt64;             # an increment holds what changed since this cut; 0: everything, a base
  baseId @34 :UInt64;              # Header.id of that cut
}

# Slots that changed since the base's cut and in which nothing is now.
struct Freed {
  kind @0 :UInt16;                 # its place in Trailer.kinds
  slots @1 :List(UInt32);          # ascending
}

# The last frame. What it does not count is not in the snapshot.
struct Trailer {
  kinds @0 :List(KindCount);       # in the order of the frames
  blobs @1 :UInt32;
  frames @2 :UInt64;               # before this one
  packetBuffers @3 :UInt32;        # 1 + the highest buffer that a slice names
}
struct KindCount {
  objects @0 :UInt32;
  slots @1 :UInt32;                # 1 + the highest slot in use
}

# State of the application. One that is long comes in several frames, one after the other.
struct Blob {
  name @0 :Text;
  size @1 :UInt64;                 # of the whole
  bytes @2 :Data;
}

# Every object: its slot, its generation, and, only where an earlier cut was outstanding, the cut that it is unchanged
# since (0 otherwise), less Header.stampBase. Since 1.1 one that did not change behind that earlier cut says just that.

struct Stack {
  index @0 :UInt32;
  generation @1 :UInt64;
  stamp @2 :UInt32;
  random :group {
    key @3 :List(UInt32);
    counter @4 :UInt64;
    buffer @5 :List(UInt32);
    available @6 :UInt32;
  }
  isnKey :group { k0 @7 :UInt64; k1 @8 :UInt64; }
  portKey :group { k0 @9 :UInt64; k1 @10 :UInt64; }
  flowKey :group { k0 @11 :UInt64; k1 @12 :UInt64; }
  interfaceKey :group { k0 @13 :UInt64; k1 @14 :UInt64; }
  timestampKey :group { k0 @15 :UInt64; k1 @16 :UInt64; }
  cookieKeyNewer :group { k0 @17 :UInt64; k1 @18 :UInt64; }
  cookieKeyOlder :group { k0 @19 :UInt64; k1 @20 :UInt64; }
  cookieRotated @21 :Int64;         # instant
  cookieEpoch @22 :UInt32;
  wireClockOffset @23 :Int64;       # duration
  wireClockCeiling @24 :Int64;      # wire clock, ns; 2^63-1: none
  wireClockResumed @25 :Int64;      # wire clock, ns
  now @26 :Int64;                   # instant
  restarts @27 :UInt64;
  ready @28 :Bool;
  suspend @29 :SuspendPhase;
  suspendUntil @30 :Int64;          # instant
  defaultPolicy @31 :DurabilityPolicy;
  portCursor @32 :UInt32;
  outputCursor @33 :UInt32;
  readyCursor @34 :UInt32;
  resumeCursor @35 :UInt32;
  icmpErrors :group { tokens @36 :UInt32; refilled @37 :Int64; }
  challengeAcks :group { tokens @38 :UInt32; refilled @39 :Int64; }
  halfOpen :group { tokens @40 :UInt32; refilled @41 :Int64; }
  silentUntil @42 :UInt32;          # cut number
  kickPeers @43 :Bool;
  silentUntilHigh @44 :UInt32;
  inherited @45 :List(UInt64);       # of a clone: the set of pairs of endpoints that are the original's; empty: no clone
  journalId @46 :UInt64;            # 0: none
  journalLsn @47 :UInt64;           # where the journal stood at the cut
  journalStack @48 :UInt8;          # which of the journal's stacks this is
}

struct Statistics {
  index @0 :UInt32;
  generation @1 :UInt64;
  stamp @2 :UInt32;
  framesReceived @3 :UInt64;
  framesSent @4 :UInt64;
  bytesReceived @5 :UInt64;
  bytesSent @6 :UInt64;
  ipReceived @7 :UInt64;
  ipSent @8 :UInt64;
  icmpErrorsSent @9 :UInt64;
  icmpEchoAnswered @10 :UInt64;
  udpReceived @11 :UInt64;
  udpSent @12 :UInt64;
  tcpSegmentsReceived @13 :UInt64;
  tcpSegmentsSent @14 :UInt64;
  tcpSegmentsRetransmitted @15 :UInt64;
  tcpResetsSent @16 :UInt64;
  tcpResetsReceived @17 :UInt64;
  tcpActiveOpens @18 :UInt64;
  tcpPassiveOpens @19 :UInt64;
  tcpAttemptFails @20 :UInt64;
  tcpEstablishedResets @21 :UInt64;
  tcpTimeouts @22 :UInt64;
  tcpFastRetransmits @23 :UInt64;
  tcpChallengeAcks @24 :UInt64;
  tcpCookiesSent @25 :UInt64;
  tcpCookiesAccepted @26 :UInt64;
  cuts @27 :UInt64;
  cutsCommitted @28 :UInt64;
  cutsAbandoned @29 :UInt64;
  restores @30 :UInt64;
  drops @31 :List(Drop);            # those that are not 0
  icmpReceived @32 :UInt64;
  icmpSent @33 :UInt64;
  tcpPureAcks @34 :UInt64;
  tcpOriginalDataSent @35 :UInt64;
  tcpDelayedAcks @36 :UInt64;
  tcpSynRetransmits @37 :UInt64;
  tcpSynChallenges @38 :UInt64;
  tcpOutOfOrderQueued @39 :UInt64;
  tcpKeepAlives @40 :UInt64;
  tcpWindowProbes @41 :UInt64;
  tcpAbortsOnData @42 :UInt64;
  tcpAbortsOnClose @43 :UInt64;
  tcpAbortsOnLinger @44 :UInt64;
  tcpAbortsOnTimeout @45 :UInt64;
  tcpAcksSkipped @46 :UInt64;
  tcpChallengesSkipped @47 :UInt64;
  tcpTimeWaits @48 :UInt64;
  tcpTimeWaitsReopened @49 :UInt64;
  tcpTimeWaitsEvicted @50 :UInt64;
  tcpZeroWindowsSent @51 :UInt64;
  tcpZeroWindowsReopened @52 :UInt64;
}
struct Drop {
  reason @0 :Text;                 # stable name of a DropReason; unknown ones are ignored
  count @1 :UInt64;
}

struct Interface {
  index @0 :UInt32;
  generation @1 :UInt64;
  stamp @2 :UInt32;
  number @3 :UInt32;
  mac @4 :UInt64;                  # 48 bits
  mtu @5 :UInt16;
  linkLocalWanted @6 :Bool;
  hopLimit @7 :UInt8;
  retransmit @8 :Int64;            # duration
  reachable @9 :Int64;             # duration
  reachableRedraw @10 :Int64;       # instant
  device @11 :Data;                 # what the driver asked to remember
  privateLink @12 :Bool;            # no duplicate address detection
}

struct InterfaceAddress {
  index @0 :UInt32;
  generation @1 :UInt64;
  stamp @2 :UInt32;
  address :group { high @3 :UInt64; low @4 :UInt64; }
  prefixLength @5 :UInt8;
  status @6 :AddressStatus;
  dadProbesLeft @7 :UInt8;
  dadCounter @8 :UInt8;
  isGenerated @9 :Bool;
  announce @10 :Bool;
  interface @11 :UInt32;
  dadNonce @12 :UInt64;             # 48 bits
  dad @13 :Int64;                   # instant
  preferredUntil @14 :Int64;        # instant
  validUntil @15 :Int64;            # instant
}

struct Route {
  index @0 :UInt32;
  generation @1 :UInt64;
  stamp @2 :UInt32;
  prefix :group { high @3 :UInt64; low @4 :UInt64; }
  nextHop :group { high @5 :UInt64; low @6 :UInt64; }
  interface @7 :UInt32;
  prefixLength @8 :UInt8;
  fromAddress @9 :Bool;
  validUntil @10 :Int64;            # instant
}

struct Neighbor {
  index @0 :UInt32;
  generation @1 :UInt64;
  stamp @2 :UInt32;
  address :group { high @3 :UInt64; low @4 :UInt64; }
  mac @5 :UInt64;                  # 48 bits
  phase @6 :NeighborPhase;
  isRouter @7 :Bool;
  probesSent @8 :UInt8;
  pendingCount @9 :UInt8;
  interface @10 :UInt32;
  timer @11 :Int64;                 # instant
  lastUsed @12 :Int64;              # instant
  pendingHead @13 :UInt32;          # link to a PendingPacket
  pendingTail @14 :UInt32;          # link to a PendingPacket
}

struct PendingPackets {
  packets @0 :List(PendingPacket);
  bytes @1 :Data;                  # of the slices, one after the other
}
struct PendingPacket {
  index @0 :UInt32;
  generation @1 :UInt64;
  stamp @2 :UInt32;
  next @3 :UInt32;                 # link to a PendingPacket
  header @4 :Data;
  slices @5 :List(Slice);
}
struct Slice {
  buffer @0 :UInt32;
  offset @1 :UInt16;
  length @2 :UInt16;
}

struct Destination {
  index @0 :UInt32;
  generation @1 :UInt64;
  stamp @2 :UInt32;
  address :group { high @3 :UInt64; low @4 :UInt64; }
  pathMtu @5 :UInt16;
  expires @6 :Int64;               # instant
}

struct Socket {
  index @0 :UInt32;
  generation @1 :UInt64;
  stamp @2 :UInt32;
  kind @3 :SocketKind;
  isBound @4 :Bool;
  claimed @5 :Bool;
  receiveShut @6 :Bool;
  error @7 :ErrorCode;
  verdict @8 :Verdict;
  local :group { address :group { high @9 :UInt64; low @10 :UInt64; } port @11 :UInt16; interface @12 :UInt32; }
  remote :group { address :group { high @13 :UInt64; low @14 :UInt64; } port @15 :UInt16; interface @16 :UInt32; }
  options :group {
    receiveBuffer @17 :UInt32;
    sendBuffer @18 :UInt32;
    maxSegment @19 :UInt16;
    hopLimit @20 :UInt8;
    trafficClass @21 :UInt8;
    keepAliveProbes @22 :UInt8;
    noDelay @23 :Bool;
    cork @24 :Bool;
    quickAck @25 :Bool;
    keepAlive @26 :Bool;
    reuseAddress @27 :Bool;
    holdOutput @28 :Bool;
    policy @29 :DurabilityPolicy;
    keepAliveIdle @30 :Int64;       # duration
    keepAliveInterval @31 :Int64;   # duration
    userTimeout @32 :Int64;         # duration
    linger @33 :Int64;              # duration
    sendPolicy @37 :DurabilityPolicy;  # invalid: as policy
    congestion @38 :CongestionAlgorithm;  # invalid: newreno
    ecn @39 :EcnMode;               # invalid: off
    receiveBufferFixed @40 :Bool;
    notSentLowWater @41 :UInt32;
    multicastInterface @42 :UInt32;
    multicastHopLimit @43 :UInt8 = 1;
    multicastLoop @44 :Bool = true;
    reusePort @45 :Bool;
  }
  connection @34 :UInt64;           # handle of a TcpConnection
  listener @35 :UInt64;             # handle of a TcpListener
  udp @36 :UInt64;                  # handle of a UdpSocket
}

struct TcpConnection {
  index @0 :UInt32;
  generation @1 :UInt64;
  stamp @2 :UInt32;
  phase @3 :TcpPhase;
  policy @4 :DurabilityPolicy;
  local :group { address :group { high @5 :UInt64; low @6 :UInt64; } port @7 :UInt16; interface @8 :UInt32; }
  remote :group { address :group { high @9 :UInt64; low @10 :UInt64; } port @11 :UInt16; interface @12 :UInt32; }
  socket @13 :UInt64;               # handle of a Socket
  listener @14 :UInt64;             # handle of a TcpListener
  acceptNext @15 :UInt32;           # link to a TcpConnection
  options :group {
    hopLimit @16 :UInt8;
    trafficClass @17 :UInt8;
    keepAliveProbes @18 :UInt8;
    noDelay @19 :Bool;
    cork @20 :Bool;
    quickAck @21 :Bool;
    keepAlive @22 :Bool;
    maxSegment @23 :UInt16;
    keepAliveIdle @24 :Int64;       # duration
    keepAliveInterval @25 :Int64;   # duration
    userTimeout @26 :Int64;         # duration
  }
  snd :group {
    iss @27 :UInt32;
    una @28 :UInt32;
    nxt @29 :UInt32;
    max @30 :UInt32;
    up @31 :UInt32;
    wl1 @32 :UInt32;
    wl2 @33 :UInt32;
    wnd @34 :UInt32;
    wndMax @35 :UInt32;
    wscale @36 :UInt8;
    finQueued @37 :Bool;
    finAcked @38 :Bool;
    sml @118 :UInt32;
  }
  rcv :group {
    irs @39 :UInt32;
    nxt @40 :UInt32;
    adv @41 :UInt32;
    acked @42 :UInt32;
    up @43 :UInt32;
    wscale @44 :UInt8;
    finReceived @45 :Bool;
    finEarly @46 :Bool;
    finSeq @47 :UInt32;
    buffer @48 :UInt32;
  }
  ts :group {
    enabled @49 :Bool;
    offset @50 :UInt32;
    recent @51 :UInt32;
    recentAt @52 :Int64;            # instant
  }
  rtt :group {
    srtt @53 :Int64;                # duration
    rttvar @54 :Int64;              # duration
    rto @55 :Int64;                 # duration
    backoff @56 :UInt8;
    timing @57 :Bool;
    timed @58 :UInt32;
    timedAt @59 :Int64;             # instant
  }
  congestion :group {
    cwnd @60 :UInt32;
    ssthresh @61 :UInt32;
    bytesAcked @62 :UInt32;
    lastSent @63 :Int64;            # instant
  }
  recovery :group {
    recover @64 :UInt32;
    inRecovery @65 :Bool;
    afterTimeout @66 :Bool;
    retransmitOwed @67 :Bool;
    duplicateAcks @68 :UInt8;
    retransmissions @69 :UInt32;
  }
  marks :group {
    rcvDurable @70 :UInt32;
    sndDurable @71 :UInt32;
    consumed @72 :UInt32;
    buffer @73 :UInt32;
    edges @74 :List(CutEdge);       # none, or one for each place of an outstanding cut
    heldSince @75 :Int64;           # instant
    diedAfter @76 :UInt32;          # cut
    diedAfterHigh @119 :UInt32;
  }
  timers :group {
    retransmit @77 :Int64;          # instant
    persist @78 :Int64;             # instant
    delayedAck @79 :Int64;          # instant
    keepAlive @80 :Int64;           # instant
    timeWait @81 :Int64;            # instant
    userTimeout @82 :Int64;         # instant
    cork @83 :Int64;                # instant
    pace @123 :Int64 = 9223372036854775807;  # instant
  }
  sendQueue :group { head @84 :UInt32; tail @85 :UInt32; nodes @86 :UInt32; bytes @87 :UInt32; }
  receiveQueue :group { head @88 :UInt32; tail @89 :UInt32; nodes @90 :UInt32; bytes @91 :UInt32; }
  outOfOrder :group { head @92 :UInt32; tail @93 :UInt32; nodes @94 :UInt32; bytes @95 :UInt32; }
  rxConsumed @96 :UInt64;
  txAccepted @97 :UInt64;
  mssPeer @98 :UInt16;
  mss @99 :UInt16;
  flowLabel @100 :UInt32;
  isPassive @101 :Bool;
  ackNow @102 :Bool;
  windowUpdateOwed @103 :Bool;
  probeOwed @104 :Bool;
  rstOwed @105 :Bool;
  finAckOwed @106 :Bool;
  resumeOwed @107 :Bool;
  receiveAbandoned @108 :Bool;
  tombstone @109 :Bool;
  segmentsSinceAck @110 :UInt8;
  probesSent @111 :UInt8;
  pushSeqValid @112 :UInt8;
  pushSeq @113 :UInt32;
  lastHeard @114 :Int64;             # instant
  lastInvalidAck @115 :Int64;        # instant
  error @116 :ErrorCode;
  verdict @117 :Verdict;
  sendPolicy @120 :DurabilityPolicy; # invalid: as policy
  cookieUntil @121 :Int64 = 9223372036854775807;  # instant; made from a SYN cookie that is good until then
  control @122 :TcpControl;
  counters @124 :TcpCounters;
  lossRecovery @125 :TcpRecovery;
}
struct TcpControl {                 # congestion and flow control, as far as they came after version 1.1
  algorithm @0 :CongestionAlgorithm;  # invalid: newreno
  isCut @1 :Bool;
  cutUntil @2 :UInt32;
  isLimited @3 :Bool;
  flightMax @4 :UInt32;
  flightUntil @5 :UInt32;
  used @6 :UInt32;
  usedSince @7 :Int64;              # instant
  priorCwnd @8 :UInt32;
  priorSsthresh @9 :UInt32;
  paceLeft @10 :UInt32;
  cubic :group {
    epochStart @11 :Int64 = 9223372036854775807;  # instant
    k @12 :Int64;                   # duration
    wMax @13 :UInt32;
    wEst @14 :UInt32;
    wEstRest @15 :UInt32;
    cwndPrior @16 :UInt32;
  }
  priorCubic :group {
    epochStart @17 :Int64 = 9223372036854775807;  # instant
    k @18 :Int64;                   # duration
    wMax @19 :UInt32;
    wEst @20 :UInt32;
    wEstRest @21 :UInt32;
    cwndPrior @22 :UInt32;
  }
  hystart :group {
    lastRtt @23 :Int64;             # duration
    roundRtt @24 :Int64;            # duration
    cssBaseline @25 :Int64;         # duration
    roundEnd @26 :UInt32;
    samples @27 :UInt8;
    cssRounds @28 :UInt8;
    inRound @29 :Bool;
  }
  ecn :group { requested @30 :Bool; enabled @31 :Bool; echo @32 :Bool; }
  mtuSearch :group {
    active @33 :Bool;
    isSent @49 :Bool;
    low @34 :UInt16;
    high @35 :UInt16;
    probe @36 :UInt16;
    probeEnd @37 :UInt32;
    next @38 :Int64 = 9223372036854775807;  # instant
  }
  tuning :group {
    fixed @39 :Bool;
    quickAcks @40 :UInt8;
    interactive @41 :Bool;
    lastText @42 :Int64 = -9223372036854775808;  # instant
    rtt @43 :Int64;                 # duration
    rttEnd @44 :UInt32;
    rttSince @45 :Int64 = -9223372036854775808;  # instant
    seq @46 :UInt32;
    since @47 :Int64 = -9223372036854775808;  # instant
    space @48 :UInt32;
  }
  push :group {
    first @50 :UInt32;
    second @51 :UInt32;
    third @52 :UInt32;
    fourth @53 :UInt32;
    count @54 :UInt8;               # of those four
    stretchLeft @55 :UInt32;
  }
  rstIsAnswer @56 :Bool;
}
struct TcpCounters {                # of TCP_INFO
  segmentsIn @0 :UInt32;
  segmentsOut @1 :UInt32;
  dataSegmentsIn @2 :UInt32;
  dataSegmentsOut @3 :UInt32;
  outOfOrderIn @4 :UInt32;
  segmentInMax @5 :UInt16;
  timeouts @6 :UInt16;
  timeoutSeries @7 :UInt16;
  limit @8 :UInt8;  # SendLimit
  sendWasShort @9 :Bool;
  bytesOut @10 :UInt64;
  bytesRetransmitted @11 :UInt64;
  dataInAt @12 :Int64;  # instant
  ackInAt @13 :Int64;  # instant
  dataOutAt @14 :Int64;  # instant
  timeoutSince @15 :Int64 = 9223372036854775807;  # instant
  timeoutTime @16 :Int64;  # duration
  limitSince @17 :Int64;  # instant
  networkTime @18 :Int64;  # duration
  windowTime @19 :Int64;  # duration
  bufferTime @20 :Int64;  # duration
}
struct TcpRecovery {                # loss recovery, as far as it came after version 1.1
  sack :group {
    permitted @0 :Bool;
    recentCount @1 :UInt8;
    recent0 @2 :UInt32;
    recent1 @3 :UInt32;
    recent2 @4 :UInt32;
    recent3 @5 :UInt32;
    dsackLeft @6 :UInt32;
    dsackRight @7 :UInt32;
    head @8 :UInt32;              # link to a SentRange
    tail @9 :UInt32;              # link to a SentRange
    ranges @10 :UInt32;
    sacked @11 :UInt32;
    lost @12 :UInt32;
    lostLeft @13 :UInt32;
    lostRight @14 :UInt32;
    stop @15 :UInt32;
  }
  rack :group {
    reorder @16 :Int64 = 9223372036854775807;  # instant
    probe @17 :Int64 = 9223372036854775807;    # instant
    sentAt @18 :Int64 = -9223372036854775808;  # instant
    end @19 :UInt32;
    fack @20 :UInt32;
    rtt @21 :Int64;                # duration
    rttMin @22 :Int64;             # duration
    rttMinAt @23 :Int64 = -9223372036854775808;  # instant
    reorderingSeen @24 :Bool;
    windowSteps @25 :UInt8 = 1;
    windowRounds @26 :UInt8;
    inDsackRound @27 :Bool;
    dsackRound @28 :UInt32;
    probeOwed @29 :Bool;
    probeOut @30 :Bool;
    probeIsNew @31 :Bool;
    probeEnd @32 :UInt32;
    tailBytes @33 :UInt16;
  }
  repair :group {
    prrDelivered @34 :UInt32;
    prrOut @35 :UInt32;
    prrFlight @36 :UInt32;
    canUndo @37 :Bool;
    undoBytes @38 :UInt32;
    undoFrom @39 :UInt32;
    frto @40 :FrtoStep = idle;
  }
}
struct CutEdge {
  cut @0 :UInt32;
  rcvNxt @1 :UInt32;
  sndEnd @2 :UInt32;
  consumed @3 :UInt32;
  buffer @4 :UInt32;
  cutHigh @5 :UInt32;
}

struct TcpListener {
  index @0 :UInt32;
  generation @1 :UInt64;
  stamp @2 :UInt32;
  socket @3 :UInt64;               # handle of a Socket
  local :group { address :group { high @4 :UInt64; low @5 :UInt64; } port @6 :UInt16; interface @7 :UInt32; }
  backlog @8 :UInt32;
  halfOpen @9 :UInt32;
  acceptHead @10 :UInt32;           # link to a TcpConnection
  acceptTail @11 :UInt32;           # link to a TcpConnection
  acceptCount @12 :UInt32;
  diedAfter @13 :UInt32;            # cut
  cookiesUntil @14 :Int64;          # instant
  diedAfterHigh @15 :UInt32;
}

struct UdpSocket {
  index @0 :UInt32;
  generation @1 :UInt64;
  stamp @2 :UInt32;
  socket @3 :UInt64;               # handle of a Socket
  receiveHead @4 :UInt32;          # link to a Datagram
  receiveTail @5 :UInt32;          # link to a Datagram
  receiveCount @6 :UInt32;
  heldHead @7 :UInt32;             # link to a Datagram
  heldTail @8 :UInt32;             # link to a Datagram
  heldCount @9 :UInt32;
  dropped @10 :UInt64;
}

struct Datagrams {
  datagrams @0 :List(Datagram);
  bytes @1 :Data;                  # of the payloads, one after the other
}
struct Datagram {
  index @0 :UInt32;
  generation @1 :UInt64;
  stamp @2 :UInt32;
  next @3 :UInt32;                 # link to a Datagram
  source :group { high @4 :UInt64; low @5 :UInt64; }
  destination :group { high @6 :UInt64; low @7 :UInt64; }
  sourcePort @8 :UInt16;
  destinationPort @9 :UInt16;
  interface @10 :UInt32;
  hopLimit @11 :UInt8;
  trafficClass @12 :UInt8;
  afterCut @13 :UInt32;
  heldSince @14 :Int64;             # instant
  payload :group { buffer @15 :UInt32; offset @16 :UInt16; length @17 :UInt16; }
  afterCutHigh @18 :UInt32;
}

struct SliceNodes {
  nodes @0 :List(SliceNode);
  bytes @1 :Data;                  # of the slices, one after the other
}
struct SliceNode {
  index @0 :UInt32;
  generation @1 :UInt64;
  stamp @2 :UInt32;
  slice :group { buffer @3 :UInt32; offset @4 :UInt16; length @5 :UInt16; }
  seq @6 :UInt32;
  next @7 :UInt32;                 # link to a SliceNode
}

# Sent and not acknowledged: a stretch of the send stream that left at one time and has one fate.
struct SentRange {
  index @0 :UInt32;
  generation @1 :UInt64;
  stamp @2 :UInt32;
  seq @3 :UInt32;
  length @4 :UInt32;
  sentAt @5 :Int64;                # instant
  sacked @6 :Bool;
  lost @7 :Bool;
  retransmitted @8 :Bool;
  next @9 :UInt32;                 # link to a SentRange
}

# A packet buffer that slices name: how much of it is written, so that what is appended goes behind that.
struct Buffer {
  buffer @0 :UInt32;
  used @1 :UInt16;
}

enum SocketKind { invalid @0; tcp @1; udp @2; }
enum DurabilityPolicy { invalid @0; none @1; snapshot @2; journal @3; untracked @4; }
enum CongestionAlgorithm { invalid @0; newreno @1; cubic @2; }
enum EcnMode { invalid @0; off @1; respond @2; request @3; }
enum SuspendPhase { invalid @0; running @1; draining @2; suspended @3; }
enum AddressStatus { invalid @0; tentative @1; optimistic @2; preferred @3; deprecated @4; duplicate @5; }
enum NeighborPhase { invalid @0; incomplete @1; reachable @2; stale @3; delay @4; probe @5; }
enum TcpPhase {
  invalid @0; closed @1; listen @2; synSent @3; synReceived @4; established @5; finWait1 @6; finWait2 @7; closeWait @8;
  closing @9; lastAck @10; timeWait @11;
}
enum FrtoStep { invalid @0; idle @1; retransmitted @2; sentNew @3; }
enum Verdict {
  invalid @0; notRestored @1; pending @2; resumed @3; closed @4; resetByPeer @5; addressGone @6; expired @7;
  droppedByPolicy @8; replayDiverged @9;
}
enum ErrorCode {
  invalid @0;                      # no error
  wouldBlock @1; staleHandle @2; wrongKind @3; invalidArgument @4; invalidState @5; notConnected @6;
  alreadyConnected @7; inProgress @8; addressInUse @9; addressNotAvailable @10; noRoute @11; noPorts @12; noMemory @13;
  messageTooLong @14; connectionRefused @15; connectionReset @16; connectionAborted @17; timedOut @18;
  hostUnreachable @19; endOfStream @20; closed @21; addressGone @22; droppedByPolicy @23; noDevice @24; cutUnread @25;
  tooManyCuts @26; cutOverrun @27; unknownCut @28; fenced @29; arenaTooSmall @30; arenaMisaligned @31;
  arenaForeign @32; arenaInStep @33; arenaDamaged @34; deviceFailed @35;
  journalForeign @36; journalDamaged @37; journalMismatch @38; journalFull @39; journalFailed @40; replayDiverged @41;
  replaying @42;
}
