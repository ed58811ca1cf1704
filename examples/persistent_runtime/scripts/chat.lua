-- A room: the first line that somebody says is the name, and everybody hears each line that follows, in one order.
--     persistent_runtime --tap keepnet0 --state chat.image scripts/chat.lua [PORT]
local listener = assert(net.listen(tonumber(arg[1]) or 4000))
local members = {}      -- each with a channel of lines to hear
local backlog_max = 10000

local function say(line)
  for _, member in ipairs(members) do
    if member.lines:count() < backlog_max then member.lines:put(line .. "\n") end
  end
end

local function leave(member)
  for i = 1, #members do
    if members[i] == member then table.remove(members, i) end
  end
  member.lines:put(false)
  say("* " .. member.name .. " leaves")
end

-- Tells a member everything, at the speed at which it reads.
local function tell(conn, lines)
  local line = lines:get()
  while line do
    conn:send(line)
    line = lines:get()
  end
  conn:close()
end

for conn in listener:connections() do
  spawn(function()
    local member = {name = conn:line(), lines = channel()}
    if not member.name then return conn:close() end
    members[#members + 1] = member
    spawn(tell, conn, member.lines)
    say("* " .. member.name .. " comes in")
    for line in conn:lines() do say(member.name .. ": " .. line) end
    leave(member)
  end)
end
