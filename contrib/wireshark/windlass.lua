-- Wireshark dissectors for Windlass: score, frame, files, xfer and link. docs/WIRESHARK.md says how to use them,
-- docs/PROTOCOL.md has the formats.
--
-- The tables at the top have every number of the wire. A test compares them with windlass-core.

set_plugin_info({ version = "0.1.0", description = "The protocols of Windlass" })

local WIRE = {
    SCORE_MARKS = 8,        -- bytes before the name
    SCORE_NAME_MAX = 495,   -- without its NUL
    FRAME_HEADER = 4,
    FILES_NAME_MAX = 4095,
    XFER_DATA_AT = 12,
    XFER_BLOCK_MAX = 1024,
    XFER_PATH_MAX = 1024,   -- with its NUL
    LINK_PAYLOAD_MAX = 248,
    LINK_ANSWERS = 0x80,    -- set in the kind by the end that answered the OPEN
}
local XFER_TYPES = { [1] = "PATH", [2] = "DATA", [3] = "EOT", [4] = "ACK", [5] = "ERROR" }
local XFER_ERRORS = {
    [0] = "Undefined", [1] = "NotFound", [2] = "Access", [3] = "Full", [4] = "Illegal", [5] = "UnknownTid",
    [6] = "Exists", [8] = "Options",
}
local LINK_KINDS = { [1] = "OPEN", [2] = "DATA", [3] = "END", [4] = "ACK", [5] = "RESET", [6] = "REPORT" }
local DIGESTS = { blake3 = 32, crc32 = 4 } -- bytes behind the end of the file

-- What all of them need ------------------------------------------------------------------------------------------

local bits = bit or bit32

-- A malformed message is marked on the item that is wrong.
local function malformed(proto)
    return ProtoExpert.new(proto .. ".malformed", "Malformed", expert.group.MALFORMED, expert.severity.ERROR)
end

local function repetition(proto)
    return ProtoExpert.new(proto .. ".retransmission", "Retransmission", expert.group.SEQUENCE, expert.severity.NOTE)
end

-- The sender of a packet, and both ends, whatever the direction. Fields such as `tcp.stream` do not serve: they have no
-- value while Wireshark reads a file for the first time.
local function sender(pinfo)
    return tostring(pinfo.src) .. " " .. pinfo.src_port
end

local function receiver(pinfo)
    return tostring(pinfo.dst) .. " " .. pinfo.dst_port
end

local function ends(pinfo)
    local from, to = sender(pinfo), receiver(pinfo)
    return from < to and from .. " " .. to or to .. " " .. from
end

-- Several messages of one packet stand behind each other in the column.
local function say(pinfo, proto, text)
    pinfo.cols.protocol:set(proto)
    if pinfo.private["windlass"] then pinfo.cols.info:append(" | " .. text) else pinfo.cols.info:set(text) end
    pinfo.private["windlass"] = "1"
    pinfo.cols.info:fence()
end

local function since(time, pinfo)
    local seconds = pinfo.rel_ts - time
    local whole = math.floor(seconds)
    return NSTime.new(whole, math.floor((seconds - whole) * 1e9 + 0.5))
end

-- The number of bytes before the first NUL of a range; nil if it has none.
local function until_nul(range)
    local bytes = range:bytes()
    for at = 0, bytes:len() - 1 do
        if bytes:get_index(at) == 0 then return at end
    end
end

-- Adds the text before the first NUL of a range, or all of it, and returns it so that it can be printed.
local function add_text(tree, field, range)
    local text = range(0, until_nul(range) or range:len())
    tree:add(field, text)
    return text:len() > 0 and (text:string():gsub("%c", ".")) or ""
end

-- Adds a port to `table` as the preference says, also when it changes. Port 0 is none.
local function follow_port(proto, table, port)
    local registered = 0
    proto.prefs.port = Pref.uint("Port", port, "0: none. Decode As works too")
    local function follow()
        if registered ~= 0 then DissectorTable.get(table):remove(registered, proto) end
        registered = proto.prefs.port
        if registered ~= 0 then DissectorTable.get(table):add(registered, proto) end
    end
    proto.prefs_changed = follow
    follow()
    DissectorTable.get(table):add_for_decode_as(proto)
end

local GUESS = "Recognise it on any port"
local GUESS_HELP = "By its form alone. Other protocols may have the same form"

-- A stream that was captured in pieces: `cut(bytes)` returns the messages at the front, and the rest. The result of
-- the first pass is kept, because Wireshark shows packets later in any order.
local function new_stream(cut)
    local rests, found = {}, {}
    return {
        clear = function() rests, found = {}, {} end,
        restart = function(stream) rests[stream] = nil end,
        messages = function(stream, key, bytes)
            if not found[key] then
                local whole = rests[stream] or ByteArray.new()
                whole:append(bytes)
                found[key], rests[stream] = cut(whole)
            end
            return found[key]
        end,
    }
end

-- score ----------------------------------------------------------------------------------------------------------

local score = Proto("windlass.score", "Windlass score report")
local score_fields = {
    math = ProtoField.uint32("windlass.score.math", "Math", base.DEC),
    chinese = ProtoField.uint32("windlass.score.chinese", "Chinese", base.DEC),
    name = ProtoField.string("windlass.score.name", "Name"),
}
score.fields = score_fields
local score_malformed = malformed("windlass.score")
score.experts = { score_malformed }

-- Why a datagram is no report; nil for one that is.
local function score_fault(tvb)
    local len = tvb:len()
    if len <= WIRE.SCORE_MARKS then return "Too short" end
    if len > WIRE.SCORE_MARKS + WIRE.SCORE_NAME_MAX + 1 then return "Too long" end
    local nul = until_nul(tvb(WIRE.SCORE_MARKS))
    if not nul then return "The name has no NUL" end
    if WIRE.SCORE_MARKS + nul + 1 < len then return "Bytes behind the NUL of the name" end
end

function score.dissector(tvb, pinfo, root)
    local tree = root:add(score, tvb())
    local fault = score_fault(tvb)
    if fault then
        tree:add_proto_expert_info(score_malformed, fault)
        say(pinfo, "score", "Malformed: " .. fault)
        if tvb:len() <= WIRE.SCORE_MARKS then return tvb:len() end
    end
    tree:add(score_fields.math, tvb(0, 4))
    tree:add(score_fields.chinese, tvb(4, 4))
    local name = add_text(tree, score_fields.name, tvb(WIRE.SCORE_MARKS))
    if not fault then
        local marks = string.format(" %d %d", tvb(0, 4):uint(), tvb(4, 4):uint())
        say(pinfo, "score", name .. marks)
    end
    return tvb:len()
end

follow_port(score, "udp.port", 2333)
score.prefs.guess = Pref.bool(GUESS, false, GUESS_HELP)
score:register_heuristic("udp", function(tvb, pinfo, root)
    if not score.prefs.guess or score_fault(tvb) then return false end
    score.dissector(tvb, pinfo, root)
    return true
end)

-- xfer -----------------------------------------------------------------------------------------------------------

local xfer = Proto("windlass.xfer", "Windlass xfer")
local xfer_fields = {
    kind = ProtoField.uint32("windlass.xfer.type", "Type", base.DEC, XFER_TYPES),
    path = ProtoField.string("windlass.xfer.path", "Path"),
    seq = ProtoField.uint32("windlass.xfer.seq", "Number", base.DEC),
    len = ProtoField.uint32("windlass.xfer.len", "Length", base.DEC),
    data = ProtoField.bytes("windlass.xfer.data", "Data"),
    code = ProtoField.uint32("windlass.xfer.code", "Code", base.DEC, XFER_ERRORS),
    text = ProtoField.string("windlass.xfer.text", "Text"),
    request = ProtoField.framenum("windlass.xfer.request_in", "Request in", base.NONE, frametype.REQUEST),
    ack = ProtoField.framenum("windlass.xfer.ack_in", "Acknowledged in", base.NONE, frametype.ACK),
    acked = ProtoField.framenum("windlass.xfer.ack_of", "Acknowledges", base.NONE, frametype.ACK),
    time = ProtoField.relative_time("windlass.xfer.time", "Time since it was first sent"),
    first = ProtoField.framenum("windlass.xfer.first_in", "First sent in", base.NONE, frametype.RETRANS_PREV),
}
xfer.fields = xfer_fields
local xfer_malformed, xfer_again = malformed("windlass.xfer"), repetition("windlass.xfer")
xfer.experts = { xfer_malformed, xfer_again }

-- Transfers by the address and the port of the client, which sends the PATH. A server answers from any port.
local transfers, xfer_notes = {}, {}

local function xfer_fault(tvb)
    local len = tvb:len()
    if len < 4 then return "Too short" end
    local kind = XFER_TYPES[tvb(0, 4):uint()]
    if not kind then return "Unknown type" end
    if kind == "PATH" then
        local nul = len > 4 and until_nul(tvb(4))
        if not nul then return "The path has no NUL" end
        if nul >= WIRE.XFER_PATH_MAX then return "The path is too long" end
        if 4 + nul + 1 < len then return "Bytes behind the NUL of the path" end
    elseif kind == "DATA" then
        if len < WIRE.XFER_DATA_AT then return "Too short" end
        local bytes = tvb(8, 4):uint()
        if bytes > WIRE.XFER_BLOCK_MAX then return "The block is too long" end
        if len < WIRE.XFER_DATA_AT + bytes then return "Too short" end
        if len > WIRE.XFER_DATA_AT + bytes then return "Bytes behind the block" end
        if bytes == 0 then return "An empty block" end
    elseif len < 8 then
        return "Too short"
    elseif kind ~= "ERROR" and len > 8 then
        return "Bytes behind the number"
    end
end

local function transfer_of(pinfo)
    local transfer = transfers[sender(pinfo)] or transfers[receiver(pinfo)]
    return transfer and transfer.request <= pinfo.number and transfer or nil
end

-- What the datagram is about, as the first pass found it.
local function xfer_note(tvb, pinfo)
    if xfer_notes[pinfo.number] then return xfer_notes[pinfo.number] end
    local transfer = transfer_of(pinfo)
    local kind = XFER_TYPES[tvb(0, 4):uint()]
    local seq = kind ~= "PATH" and tvb(4, 4):uint() or nil
    local sent
    if kind == "PATH" then
        if transfer and not transfer.begun and transfer.path == tvb(4):stringz() then
            sent = transfer
        else
            transfer = { request = pinfo.number, path = tvb(4):stringz(), blocks = {} }
            transfers[sender(pinfo)] = transfer
        end
    elseif transfer and (kind == "DATA" or kind == "EOT") then
        sent = transfer.blocks[seq]
        transfer.blocks[seq] = sent or { request = pinfo.number, time = pinfo.rel_ts }
    elseif transfer and kind == "ACK" then
        transfer.begun = true
    end
    local block = transfer and seq and transfer.blocks[seq]
    if kind == "ACK" and block and not block.ack then block.ack = pinfo.number end
    local note = { transfer = transfer, first = sent and sent.request, block = block or nil }
    xfer_notes[pinfo.number] = note
    return note
end

function xfer.dissector(tvb, pinfo, root)
    local tree = root:add(xfer, tvb())
    local fault = xfer_fault(tvb)
    if tvb:len() >= 4 then tree:add(xfer_fields.kind, tvb(0, 4)) end
    if fault then
        tree:add_proto_expert_info(xfer_malformed, fault)
        say(pinfo, "xfer", "Malformed: " .. fault)
        return tvb:len()
    end
    local kind = XFER_TYPES[tvb(0, 4):uint()]
    local note = xfer_note(tvb, pinfo)
    local text
    if kind == "PATH" then
        text = add_text(tree, xfer_fields.path, tvb(4))
    elseif kind == "ERROR" then
        tree:add(xfer_fields.code, tvb(4, 4))
        if tvb:len() > 8 then add_text(tree, xfer_fields.text, tvb(8)) end
        text = XFER_ERRORS[tvb(4, 4):uint()] or tostring(tvb(4, 4):uint())
    else
        tree:add(xfer_fields.seq, tvb(4, 4))
        text = tostring(tvb(4, 4):uint())
    end
    if kind == "DATA" then
        tree:add(xfer_fields.len, tvb(8, 4))
        tree:add(xfer_fields.data, tvb(WIRE.XFER_DATA_AT))
        text = text .. ", " .. tvb(8, 4):uint() .. " bytes"
    end
    local block = note.block
    if note.transfer and kind ~= "PATH" then
        tree:add(xfer_fields.request, note.transfer.request):set_generated()
    end
    if block and kind == "ACK" then
        tree:add(xfer_fields.acked, block.request):set_generated()
        tree:add(xfer_fields.time, since(block.time, pinfo)):set_generated()
    elseif block and block.ack then
        tree:add(xfer_fields.ack, block.ack):set_generated()
    end
    if note.first then
        tree:add(xfer_fields.first, note.first):set_generated()
        tree:add_proto_expert_info(xfer_again)
        text = text .. " (again)"
    end
    say(pinfo, "xfer", kind .. " " .. text)
    return tvb:len()
end

function xfer.init() transfers, xfer_notes = {}, {} end

follow_port(xfer, "udp.port", 2334)
xfer.prefs.guess = Pref.bool(GUESS, false, GUESS_HELP)
-- The server answers from a port of its own: what goes to and from a client that sent a PATH is followed.
xfer:register_heuristic("udp", function(tvb, pinfo, root)
    if xfer_fault(tvb) or not (xfer.prefs.guess or transfer_of(pinfo)) then return false end
    xfer.dissector(tvb, pinfo, root)
    return true
end)

-- frame ----------------------------------------------------------------------------------------------------------

local frame = Proto("windlass.frame", "Windlass frame")
local frame_fields = {
    len = ProtoField.uint32("windlass.frame.len", "Length", base.DEC),
    payload = ProtoField.bytes("windlass.frame.payload", "Payload"),
}
frame.fields = frame_fields
local frame_malformed = malformed("windlass.frame")
frame.experts = { frame_malformed }
frame.prefs.longest = Pref.uint("Longest frame in bytes", 16777216, "A longer one is not waited for")

local function frame_len(tvb, at)
    local len = tvb(at, WIRE.FRAME_HEADER):uint()
    -- The stream is not of frames, or of longer ones: nothing behind this header can be found.
    if len > frame.prefs.longest then return tvb:len() - at end
    return WIRE.FRAME_HEADER + len
end

-- The header of a frame. Returns its payload, or nil for an empty one.
local function frame_payload(tvb, tree)
    local len = tvb(0, WIRE.FRAME_HEADER)
    local item = tree:add(frame_fields.len, len)
    if WIRE.FRAME_HEADER + len:uint() ~= tvb:len() then
        item:add_proto_expert_info(frame_malformed, "Longer than the longest frame of the preferences")
    end
    return tvb:len() > WIRE.FRAME_HEADER and tvb(WIRE.FRAME_HEADER) or nil
end

function frame.dissector(tvb, pinfo, root)
    return dissect_tcp_pdus(tvb, root, WIRE.FRAME_HEADER, function(bytes, _, at)
        return frame_len(bytes, at)
    end, function(bytes, info, tree)
        local item = tree:add(frame, bytes())
        local payload = frame_payload(bytes, item)
        if payload then item:add(frame_fields.payload, payload) end
        say(info, "frame", bytes:len() - WIRE.FRAME_HEADER .. " bytes")
        return bytes:len()
    end, true)
end

follow_port(frame, "tcp.port", 0)

-- files ----------------------------------------------------------------------------------------------------------

local files = Proto("windlass.files", "Windlass files")
local FILES_FRAMES = {
    [1] = "Request", [2] = "Answer", [3] = "Data", [4] = "End", [5] = "Digest", [6] = "Refusal", [7] = "Reason",
    [8] = "Unexpected",
}
local files_fields = {
    kind = ProtoField.uint8("windlass.files.frame", "Frame", base.DEC, FILES_FRAMES),
    name = ProtoField.string("windlass.files.name", "Name"),
    option = ProtoField.string("windlass.files.option", "Option"),
    size = ProtoField.uint64("windlass.files.size", "Size of the file", base.DEC),
    frame = ProtoField.uint64("windlass.files.longest", "Longest payload", base.DEC),
    offset = ProtoField.uint64("windlass.files.offset", "First byte", base.DEC),
    prefix = ProtoField.string("windlass.files.prefix", "Digest of the bytes before it"),
    digest = ProtoField.string("windlass.files.digest", "Digest"),
    wait = ProtoField.string("windlass.files.wait", "Work before the offset"),
    data = ProtoField.bytes("windlass.files.data", "Data"),
    at = ProtoField.uint64("windlass.files.at", "Offset in the file", base.DEC),
    sum = ProtoField.bytes("windlass.files.sum", "Digest of the file"),
    reason = ProtoField.string("windlass.files.reason", "Reason"),
    response = ProtoField.framenum("windlass.files.response_in", "Response in", base.NONE, frametype.RESPONSE),
    request = ProtoField.framenum("windlass.files.request_in", "Request in", base.NONE, frametype.REQUEST),
    time = ProtoField.relative_time("windlass.files.time", "Time since the request"),
}
files.fields = files_fields
local files_malformed = malformed("windlass.files")
files.experts = { files_malformed }
files.prefs.pushes = Pref.bool("The server pushes", false, "It sends an answer without a request")

local downloads, files_notes = {}, {}

-- The options behind the NUL of a name, in order: { name, value, range of both, range of the value }.
local function options_of(range, fault)
    local options, at = {}, 0
    while at < range:len() do
        local name = until_nul(range(at))
        local value = name and at + name + 1 < range:len() and until_nul(range(at + name + 1))
        if not value then
            fault("An option without its NUL")
            break
        end
        local len = name + value + 2
        table.insert(options, {
            name = range(at, name + 1):stringz(),
            value = range(at + name + 1, value + 1):stringz(),
            range = range(at, len),
        })
        at = at + len
    end
    return options
end

-- Of two alike, the first one counts.
local function option(options, name)
    for _, it in ipairs(options) do
        if it.name == name then return it.value end
    end
end

-- What a frame is, from those before it.
local function files_note(payload, pinfo, stream, from_client, key)
    if files_notes[key] then return files_notes[key] end
    local download = downloads[stream] or {}
    -- A connection has one download: another request behind an answer is one of another connection between the
    -- same ports.
    if from_client and download.state then download = {} end
    downloads[stream] = download
    local note = { download = download }
    if from_client and download.request then
        note.kind = 8
    elseif from_client then
        note.kind, download.request, download.asked = 1, pinfo.number, pinfo.rel_ts
    elseif download.state == nil and not download.request and not files.prefs.pushes then
        note.kind = 8 -- the capture began in the middle
    elseif download.state == nil and not payload then
        note.kind, download.state = 6, "reason"
    elseif download.state == nil then
        note.kind, download.state = 2, "data"
        local nul = until_nul(payload)
        local options = nul and nul + 1 < payload:len() and options_of(payload(nul + 1), function() end) or {}
        download.at = UInt64.new(0)
        local offset, digest = option(options, "offset"), option(options, "digest")
        if offset and offset:match("^%d+$") then download.at = UInt64.fromhex(string.format("%x", tonumber(offset))) end
        download.digest = DIGESTS[digest]
    elseif download.state == "data" and payload then
        note.kind, note.at = 3, download.at
        download.at = download.at + UInt64.new(payload:len())
    elseif download.state == "data" then
        note.kind, download.state = 4, download.digest and "digest" or "over"
    elseif download.state == "digest" then
        note.kind, download.state = 5, "over"
    elseif download.state == "reason" then
        note.kind, download.state = 7, "over"
    else
        note.kind = 8
    end
    if (note.kind == 2 or note.kind == 6) and not download.response then download.response = pinfo.number end
    files_notes[key] = note
    return note
end

local function add_name(payload, tree, fault)
    local text, nul = add_text(tree, files_fields.name, payload), until_nul(payload)
    local len = nul or payload:len()
    if len == 0 or len > WIRE.FILES_NAME_MAX then fault("The name is empty or too long") end
    if nul and nul + 1 < payload:len() then
        for _, it in ipairs(options_of(payload(nul + 1), fault)) do
            local item = tree:add(files_fields.option, it.range, it.name .. "=" .. it.value)
            local field = files_fields[it.name]
            local is_number = it.name == "size" or it.name == "frame" or it.name == "offset"
            if is_number and it.value:match("^%d+$") then
                item:add(field, it.range, UInt64.fromhex(string.format("%x", tonumber(it.value))))
            elseif it.name == "prefix" or it.name == "digest" or it.name == "wait" then
                item:add(field, it.range, it.value)
            end
        end
    end
    return text
end

-- A frame. `stream` names the conversation, and `key` this frame.
local function files_frame(tvb, pinfo, root, stream, from_client, key)
    local tree = root:add(files, tvb())
    local payload = frame_payload(tvb, tree)
    local note = files_note(payload, pinfo, stream, from_client, key)
    local download, kind = note.download, FILES_FRAMES[note.kind]
    tree:add(files_fields.kind, tvb(0, 0), note.kind):set_generated()
    local function fault(text) tree:add_proto_expert_info(files_malformed, text) end
    local text = kind
    if kind == "Request" or kind == "Answer" then
        if payload then
            text = text .. " " .. add_name(payload, tree, fault)
        else
            fault("An empty request")
        end
    elseif kind == "Data" then
        tree:add(files_fields.at, tvb(0, 0), note.at):set_generated()
        tree:add(files_fields.data, payload)
        text = string.format("%s %d bytes at %s", kind, payload:len(), tostring(note.at))
    elseif kind == "Digest" and payload then
        tree:add(files_fields.sum, payload)
        if payload:len() ~= download.digest then fault("The digest has another length") end
    elseif kind == "Reason" and payload then
        text = text .. ": " .. add_text(tree, files_fields.reason, payload)
    elseif kind == "Unexpected" then
        fault("A frame that nothing before it announces")
    end
    if kind == "Request" and download.response then
        tree:add(files_fields.response, download.response):set_generated()
    elseif kind ~= "Request" and download.request and not from_client then
        tree:add(files_fields.request, download.request):set_generated()
        if kind == "Answer" or kind == "Refusal" then
            tree:add(files_fields.time, since(download.asked, pinfo)):set_generated()
        end
    end
    say(pinfo, "files", text)
    return tvb:len()
end

function files.dissector(tvb, pinfo, root)
    return dissect_tcp_pdus(tvb, root, WIRE.FRAME_HEADER, function(bytes, _, at)
        return frame_len(bytes, at)
    end, function(bytes, info, tree)
        local from_client = info.dst_port == info.match_uint
        -- A frame that was put together from segments begins at 0, any other one behind the headers.
        local key = info.number .. " " .. bytes:offset()
        return files_frame(bytes, info, tree, ends(info), from_client, key)
    end, true)
end

function files.init() downloads, files_notes = {}, {} end

follow_port(files, "tcp.port", 2334)

-- link -----------------------------------------------------------------------------------------------------------

local link = Proto("windlass.link", "Windlass link")
local link_fields = {
    coded = ProtoField.bytes("windlass.link.coded", "On the line (COBS)"),
    answers = ProtoField.bool("windlass.link.answers", "From the end that answered the OPEN", 8, nil, WIRE.LINK_ANSWERS),
    kind = ProtoField.uint8("windlass.link.kind", "Kind", base.DEC, LINK_KINDS, 0xff - WIRE.LINK_ANSWERS),
    seq = ProtoField.uint8("windlass.link.seq", "Number", base.DEC),
    room = ProtoField.uint8("windlass.link.room", "Longest payload accepted next", base.DEC),
    payload = ProtoField.bytes("windlass.link.payload", "Payload"),
    crc = ProtoField.uint32("windlass.link.crc", "CRC-32", base.HEX),
    computed = ProtoField.uint32("windlass.link.crc.computed", "Computed CRC-32", base.HEX),
    ack = ProtoField.framenum("windlass.link.ack_in", "Acknowledged in", base.NONE, frametype.ACK),
    acked = ProtoField.framenum("windlass.link.ack_of", "Acknowledges", base.NONE, frametype.ACK),
    first = ProtoField.framenum("windlass.link.first_in", "First sent in", base.NONE, frametype.RETRANS_PREV),
}
link.fields = link_fields
local link_malformed, link_again = malformed("windlass.link"), repetition("windlass.link")
local link_checksum =
    ProtoExpert.new("windlass.link.crc.bad", "The checksum differs", expert.group.CHECKSUM, expert.severity.ERROR)
link.experts = { link_malformed, link_again, link_checksum }
local NOTHING, FILES = 0, 1
link.prefs.service = Pref.enum("Service on the stream", NOTHING, "What the DATA carries", {
    { 1, "none", NOTHING }, { 2, "files", FILES },
}, false)

local crc_table = {}
for byte = 0, 255 do
    local crc = byte
    for _ = 1, 8 do
        local odd = bits.band(crc, 1) == 1
        crc = bits.rshift(crc, 1)
        if odd then crc = bits.bxor(crc, 0xedb88320) end
    end
    crc_table[byte] = crc
end

-- CRC-32/ISO-HDLC of a zero byte and of `len` bytes of an array.
local function crc32(bytes, len)
    local crc = 0xffffffff
    for at = -1, len - 1 do
        local byte = at < 0 and 0 or bytes:get_index(at)
        crc = bits.bxor(bits.rshift(crc, 8), crc_table[bits.band(bits.bxor(crc, byte), 0xff)])
    end
    return bits.bnot(crc) % 0x100000000
end

-- The packet of the bytes between two zeros; nil if a distance leads beyond their end.
local function uncobs(coded)
    local packet, at, len = ByteArray.new(), 0, coded:len()
    packet:set_size(len - 1)
    local to = 0
    while at < len do
        local distance = coded:get_index(at)
        if at + distance > len then return nil end
        if at > 0 then
            packet:set_index(to, 0)
            to = to + 1
        end
        for from = at + 1, at + distance - 1 do
            packet:set_index(to, coded:get_index(from))
            to = to + 1
        end
        at = at + distance
    end
    return packet
end

-- The bytes between zeros.
local lines = new_stream(function(bytes)
    local found, from = {}, 0
    for at = 0, bytes:len() - 1 do
        if bytes:get_index(at) == 0 then
            if at > from then table.insert(found, bytes:subset(from, at - from)) end
            from = at + 1
        end
    end
    return found, from < bytes:len() and bytes:subset(from, bytes:len() - from) or nil
end)

-- Whole frames of a stream over a link.
local framed = new_stream(function(bytes)
    local found, from, len = {}, 0, bytes:len()
    while len - from >= WIRE.FRAME_HEADER do
        local size = WIRE.FRAME_HEADER + bytes:subset(from, WIRE.FRAME_HEADER):tvb("Length")(0):uint()
        if size > len - from then break end
        table.insert(found, bytes:subset(from, size))
        from = from + size
    end
    return found, from < len and bytes:subset(from, len - from) or nil
end)

local links, link_notes = {}, {}

-- What a packet is about, as the first pass found it.
local function link_note(packet, pinfo, line, key)
    if link_notes[key] then return link_notes[key] end
    local number = packet:get_index(0)
    local answers, kind = number >= WIRE.LINK_ANSWERS, LINK_KINDS[number % WIRE.LINK_ANSWERS]
    local seq = packet:get_index(1)
    local note = {}
    local it = links[line]
    if kind == "OPEN" and not (it and it.seq == seq and not it.answered) then
        it = { seq = seq, stream = line .. " " .. key, [true] = {}, [false] = {} }
        links[line] = it
    end
    if it and (kind == "OPEN" or kind == "DATA" or kind == "END") then
        local mine = it[answers]
        local same = mine.sent and mine.sent.seq == seq
        note.first = same and mine.sent.number or nil
        if not same then mine.sent = { seq = seq, number = pinfo.number } end
        note.sent, note.is_new, note.stream = mine.sent, not same, it.stream
    elseif it and kind == "ACK" then
        local sent = it[not answers].sent
        if sent and sent.seq == seq then
            note.acked, sent.ack = sent.number, sent.ack or pinfo.number
        end
        it.answered = true
    end
    link_notes[key] = note
    return note
end

local function dissect_packet(coded, pinfo, root, line, key)
    local whole = coded:tvb("Line")
    local tree = root:add(link, whole())
    tree:add(link_fields.coded, whole())
    local packet = uncobs(coded)
    local fault = coded:len() > WIRE.LINK_PAYLOAD_MAX + 7 and "Too long"
        or not packet and "A distance leads beyond the end" or packet:len() < 6 and "Too short"
    if fault then
        tree:add_proto_expert_info(link_malformed, fault)
        return say(pinfo, "link", "Malformed: " .. fault)
    end
    local tvb, len = packet:tvb("Packet"), packet:len()
    local kind = LINK_KINDS[tvb(0, 1):uint() % WIRE.LINK_ANSWERS]
    tree:add(link_fields.answers, tvb(0, 1))
    tree:add(link_fields.kind, tvb(0, 1))
    tree:add(link_fields.seq, tvb(1, 1))
    local payload = len > 6 and tvb(2, len - 6)
    if payload and (kind == "OPEN" or kind == "ACK" or kind == "RESET") then
        tree:add(link_fields.room, payload(0, 1))
    elseif payload then
        tree:add(link_fields.payload, payload)
    end
    local crc, computed = tvb(len - 4, 4), crc32(packet, len - 4)
    local item = tree:add_le(link_fields.crc, crc)
    if crc:le_uint() ~= computed then
        tree:add(link_fields.computed, computed):set_generated()
        item:add_proto_expert_info(link_checksum)
        return say(pinfo, "link", "Checksum differs")
    end
    local note = link_note(packet, pinfo, line, key)
    local ack = note.sent and note.sent.ack
    if ack then tree:add(link_fields.ack, ack):set_generated() end
    if note.acked then tree:add(link_fields.acked, note.acked):set_generated() end
    local text = (kind or "Unknown") .. " " .. tvb(1, 1):uint()
    if payload and (kind == "DATA" or kind == "END" or kind == "REPORT") then text = text .. ", " .. payload:len() .. " bytes" end
    if note.first then
        tree:add(link_fields.first, note.first):set_generated()
        tree:add_proto_expert_info(link_again)
        text = text .. " (again)"
    end
    say(pinfo, "link", text)
    if payload and note.is_new and kind ~= "OPEN" and link.prefs.service == FILES then
        local answers = tvb(0, 1):uint() >= WIRE.LINK_ANSWERS
        local stream = note.stream .. tostring(answers)
        for index, bytes in ipairs(framed.messages(stream, key, payload:bytes())) do
            files_frame(bytes:tvb("Frame"), pinfo, root, note.stream, not answers, key .. " " .. index)
        end
    end
end

function link.dissector(tvb, pinfo, root)
    -- A line in a terminal server, or in an emulator, is a TCP connection. Any other one has no ports.
    local line = ends(pinfo)
    local from = pinfo.src_port ~= 0 and sender(pinfo) or pinfo.p2p_dir
    local key = pinfo.number .. " " .. tvb:offset()
    for index, coded in ipairs(lines.messages(line .. " from " .. from, key, tvb():bytes())) do
        dissect_packet(coded, pinfo, root, line, key .. " " .. index)
    end
    if not pinfo.private["windlass"] then say(pinfo, "link", "Part of a packet") end
    return tvb:len()
end

function link.init()
    links, link_notes = {}, {}
    lines.clear()
    framed.clear()
end

follow_port(link, "tcp.port", 0)
