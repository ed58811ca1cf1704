-- The part of the runtime that is Lua: tasks, and calls that seem to block. It is loaded once, when a script begins; from
-- then on it is in the image like everything else. `native` holds functions that never block: each returns its result,
-- or nil and why not. No task is interrupted in the functions of this file: between a call that would block and wait()
-- nothing may happen, or the event that it waits for could be lost.
local native = ...

-- Tasks ---------------------------------------------------------------------------------------------------------------

local resume, yield, create = coroutine.resume, coroutine.yield, coroutine.create
local running, status = coroutine.running, coroutine.status

local SCHEDULER = {}            -- what a task yields when it waits
local tasks = 0                 -- that have not ended
local failed = false            -- the main task ended with an error
local current                   -- the task that runs
local queue = {first = 1, last = 0}
local waiting = {}              -- socket or channel -> its waiting tasks, in the order in which they came
local sleeping = {}             -- tasks with a deadline, the earliest first

local function enqueue(task)
  queue.last = queue.last + 1
  queue[queue.last] = task
end

local function remove(list, task)
  for i = 1, #list do
    if list[i] == task then return table.remove(list, i) end
  end
end

local function wake(task)
  if task.socket then
    remove(waiting[task.socket], task)
    if #waiting[task.socket] == 0 then waiting[task.socket] = nil end
    task.socket = nil
  end
  if task.deadline then
    remove(sleeping, task)
    task.deadline = nil
  end
  enqueue(task)
end

local function wake_all(socket)
  local list = waiting[socket]
  while list and #list > 0 do wake(list[1]) end
end

-- Until something happened to the socket, or the deadline is over; either may be nil.
local function wait(socket, deadline)
  local task = current
  if socket then
    task.socket = socket
    waiting[socket] = waiting[socket] or {}
    table.insert(waiting[socket], task)
  end
  if deadline then
    task.deadline = deadline
    local at = #sleeping + 1
    while at > 1 and sleeping[at - 1].deadline > deadline do at = at - 1 end
    table.insert(sleeping, at, task)
  end
  yield(SCHEDULER)
end

local function start(f, ...)
  local task = {thread = create(f), start = table.pack(...)}
  native.preempt(task.thread)   -- one that computes without end is interrupted now and then
  tasks = tasks + 1
  enqueue(task)
  return task
end

local function run(task)
  current = task
  local ok, why
  if task.start then
    local arguments = task.start
    task.start = nil
    ok, why = resume(task.thread, table.unpack(arguments, 1, arguments.n))
  else
    ok, why = resume(task.thread)
  end
  current = nil
  if status(task.thread) ~= "dead" then
    if why ~= SCHEDULER then enqueue(task) end   -- interrupted
    return
  end
  tasks = tasks - 1
  if not ok then
    native.complain(native.traceback(task.thread, why))
    failed = failed or task.main
  end
end

-- The host calls it between two polls of the stack: no task is under way before or after.
local SOCKET, TIME, ALL = 1, 2, 3

local function turn(event, socket)
  if event == SOCKET then
    wake_all(socket)
  elseif event == TIME then
    local now = native.now()
    while sleeping[1] and sleeping[1].deadline <= now do wake(sleeping[1]) end
  elseif event == ALL then
    local all = {}
    for _, list in pairs(waiting) do table.move(list, 1, #list, #all + 1, all) end
    for i = 1, #all do wake(all[i]) end
  end
  local last = queue.last       -- who is interrupted waits for the next turn
  while queue.first <= last do
    local task = queue[queue.first]
    queue[queue.first] = nil
    queue.first = queue.first + 1
    run(task)
  end
  local deadline = sleeping[1] and sleeping[1].deadline
  if queue.first <= queue.last then deadline = 0 end
  return deadline, tasks, failed
end

-- A coroutine of the script itself (a generator) may block as well: its wait passes through to the task around it.
local function pass(thread, ok, what, ...)
  if ok and what == SCHEDULER then
    yield(SCHEDULER)
    return pass(thread, resume(thread))
  end
  return ok, what, ...
end

function coroutine.create(f)
  local thread = create(f)
  native.unhook(thread)
  return thread
end

function coroutine.resume(thread, ...)
  return pass(thread, resume(thread, ...))
end

local function checked(ok, what, ...)
  if not ok then error(what, 0) end
  return what, ...
end

function coroutine.wrap(f)
  local thread = coroutine.create(f)
  return function(...) return checked(coroutine.resume(thread, ...)) end
end

function spawn(f, ...) start(f, ...) end

local Channel = {}
Channel.__index = Channel

--- Values from task to task, in order.
function channel() return setmetatable({first = 1, last = 0}, Channel) end

function Channel:put(value)
  self.last = self.last + 1
  self[self.last] = value
  wake_all(self)
end

--- The oldest; waits for one.
function Channel:get()
  while self.first > self.last do wait(self) end
  local value = self[self.first]
  self[self.first] = nil
  self.first = self.first + 1
  return value
end

function Channel:count() return self.last - self.first + 1 end

-- Time ----------------------------------------------------------------------------------------------------------------

local second = 1000000000       -- ns

--- Seconds since the script began, those included in which the machine was off.
function now() return native.now() / second end

function sleep(seconds) wait(nil, native.now() + math.floor(seconds * second)) end

local seed = math.randomseed
function math.randomseed(...)
  if select("#", ...) == 0 then return seed(native.random(), native.random()) end
  return seed(...)
end
math.randomseed()

function print(...)
  local words = table.pack(...)
  for i = 1, words.n do words[i] = tostring(words[i]) end
  native.write(table.concat(words, "\t") .. "\n")
end

-- Sockets -------------------------------------------------------------------------------------------------------------

net = {}

local line_bytes_max = 65536

-- Calls f(socket, ...) until it no longer says that it would block. Holds on to the object, or it might be collected.
local function blocking(deadline, f, object, ...)
  while object.socket do
    local a, b, c = f(object.socket, ...)
    if a ~= nil or b ~= "would_block" then return a, b, c end
    if deadline and native.now() >= deadline then return nil, "timed_out" end
    wait(object.socket, deadline)
  end
  return nil, "closed"
end

local function class()
  local methods = {}
  methods.__index = methods
  methods.__close = function(self) self:close() end
  methods.__gc = methods.__close
  function methods:close()
    local socket = self.socket
    if not socket then return end
    self.socket = nil
    native.close(socket)
    wake_all(socket)        -- whoever waits for it learns that it is gone
  end
  return methods
end

local Connection, Listener, Udp = class(), class(), class()

local function connection(socket) return setmetatable({socket = socket, rest = ""}, Connection) end

--- A connection, or nil and why there is none.
function net.connect(address, port)
  local socket, why = native.connect(address, port)
  if not socket then return nil, why end
  local conn = connection(socket)
  local ok
  ok, why = blocking(nil, native.connected, conn)
  if ok then return conn end
  conn:close()
  return nil, why
end

--- A listener on every address.
function net.listen(port, backlog)
  local socket, why = native.listen(port, backlog or 128)
  if not socket then return nil, why end
  return setmetatable({socket = socket}, Listener)
end

--- A datagram socket; without a port on any.
function net.udp(port)
  local socket, why = native.udp(port or 0)
  if not socket then return nil, why end
  return setmetatable({socket = socket}, Udp)
end

function Listener:accept()
  local socket, why = blocking(nil, native.accept, self)
  if not socket then return nil, why end
  return connection(socket)
end

--- for conn in listener:connections() do
function Listener:connections() return function() return (self:accept()) end end

--- What has come, at least one byte and at most `max`; nil and "closed" at the end of the stream, nil and why otherwise.
function Connection:receive(max)
  max = max or 65536
  if self.rest ~= "" then
    local data = self.rest:sub(1, max)
    self.rest = self.rest:sub(max + 1)
    return data
  end
  return blocking(nil, native.receive, self, max)
end

--- for data in conn:chunks() do
function Connection:chunks(max) return function() return (self:receive(max)) end end

--- Exactly so many bytes.
function Connection:exactly(count)
  local parts, missing = {}, count
  while missing > 0 do
    local data, why = self:receive(missing)
    if not data then return nil, why end
    parts[#parts + 1] = data
    missing = missing - #data
  end
  return table.concat(parts)
end

--- A line without its end.
function Connection:line()
  local from = 1
  while true do
    local at = self.rest:find("\n", from, true)
    if at then
      local line = self.rest:sub(1, at - 1)
      self.rest = self.rest:sub(at + 1)
      return (line:gsub("\r$", ""))
    end
    from = #self.rest + 1
    if from > line_bytes_max then return nil, "line_too_long" end
    local data, why = blocking(nil, native.receive, self, line_bytes_max)
    if not data then return nil, why end
    self.rest = self.rest .. data
  end
end

--- for line in conn:lines() do
function Connection:lines() return function() return (self:line()) end end

--- All of it: true, or nil and why not.
function Connection:send(data)
  local from = 1
  while from <= #data do
    local count, why = blocking(nil, native.send, self, data, from)
    if not count then return nil, why end
    from = from + count
  end
  return true
end

--- Says to the peer that nothing more will come; receiving goes on.
function Connection:finish()
  if not self.socket then return nil, "closed" end
  return native.finish(self.socket)
end

--- Address and port of the other side.
function Connection:peer()
  if not self.socket then return nil, "closed" end
  return native.peer(self.socket)
end

--- One datagram.
function Udp:send(data, address, port) return blocking(nil, native.send_to, self, data, address, port) end

--- A datagram, and the address and port that it came from; after `seconds` nil and "timed_out".
function Udp:receive(seconds)
  local deadline = seconds and native.now() + math.floor(seconds * second)
  return blocking(deadline, native.receive_from, self)
end

-- Files ---------------------------------------------------------------------------------------------------------------

--- Bytes of a file; from an offset at most so many of its bytes, and no more than 64 KiB at a time.
files = {size = native.file_size, read = native.read_file}

-- What would let a script see what is not in its image.
dofile, loadfile = nil, nil

return turn, function(main, ...)
  start(main, ...).main = true
end
