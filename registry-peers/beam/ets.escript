#!/usr/bin/env escript
%% The design that the registry goes back to, under the same work as the other peers: 64 public ETS tables, chosen by phash2,
%% in a persistent term, and a process for each entry.
%%
%% Called with a file of names, the number of workers and the microseconds of a measurement; prints a line for each
%% operation. While a lap is timed the processes are suspended, so that messages lie in their mailboxes as they do in
%% the other peers'.
-mode(compile).

-define(PARTITIONS, 64).
-define(MOST_OPERATIONS, 131072).
-define(FIRST_OPERATIONS, 512).
-define(LAPS, 4).
-define(MOST_WAITING, 128).
-define(HOT, 64).

main([File, ThreadsText, SliceText]) ->
    Threads = list_to_integer(ThreadsText),
    Slice = list_to_integer(SliceText) * 1000,
    io:format("version Erlang/OTP ~s, erts ~s~n", [erlang:system_info(otp_release), erlang:system_info(version)]),
    Names = read(File),
    %% Persistent terms are not copied to who gets them, nor collected: names cost the workers nothing.
    [persistent_term:put({names, Row}, Items) || {Row, Items} <- maps:to_list(Names)],
    persistent_term:put({names, hot}, lists:duplicate(?HOT, hd(maps:get(server, Names)))),
    Tables = list_to_tuple([table() || _ <- lists:seq(1, ?PARTITIONS)]),
    persistent_term:put(registry_tables, Tables),
    persistent_term:put(registry_bindings, table()),
    Entries = maps:get(server, Names) ++ maps:get(transport, Names),
    Keepers = [enter(Key) || Key <- Entries],
    suspend(Keepers),
    Servers = length(maps:get(server, Names)),
    Operations = [lookup, miss, hot, route, register, mixed],
    [measure(Operation, Servers, Keepers, Threads, Slice) || Operation <- Operations],
    halt(0).

%% ----- The registry -----

table() ->
    ets:new(registry, [set, public, {read_concurrency, true}, {write_concurrency, true}]).

partition(Key) ->
    element(erlang:phash2(Key, ?PARTITIONS) + 1, persistent_term:get(registry_tables)).

find(Key) ->
    case ets:lookup(partition(Key), Key) of
        [{_, Pid, Config}] -> {ok, Pid, Config};
        [] -> error
    end.

register_as(Key, Pid) ->
    ets:insert_new(partition(Key), {Key, Pid, #{}}).

leave(Key) ->
    ets:delete(partition(Key), Key).

route(Key) ->
    case find(Key) of
        {ok, Pid, _} ->
            Pid ! {message, self(), 1},
            true;
        error ->
            false
    end.

bind(Transport, Server) ->
    case {find(Server), find(Transport)} of
        {{ok, _, _}, {ok, _, _}} -> ets:insert(persistent_term:get(registry_bindings), {Transport, Server});
        _ -> false
    end.

%% ----- The processes that messages go to -----

enter(Key) ->
    Pid = spawn(fun keeper/0),
    true = register_as(Key, Pid),
    Pid.

keeper() ->
    receive
        {settled, From} -> From ! settled;
        _ -> taken
    end,
    keeper().

suspend(Keepers) ->
    [erlang:suspend_process(Pid) || Pid <- Keepers],
    ok.

%% Has all mailboxes emptied.
settle(Keepers) ->
    [erlang:resume_process(Pid) || Pid <- Keepers],
    [Pid ! {settled, self()} || Pid <- Keepers],
    [receive settled -> ok end || _ <- Keepers],
    suspend(Keepers).

%% ----- The measurement: laps until they have taken as long as was asked for, after two that do not count -----

measure(Operation, Servers, Keepers, Threads, Slice) ->
    Parent = self(),
    Worker = fun(Thread) ->
        All = row(Operation, Thread),
        worker(Parent, Operation, All, rotated(Operation, All, Thread, Threads))
    end,
    Workers = [spawn_link(fun() -> Worker(Thread) end) || Thread <- lists:seq(0, Threads - 1)],
    Room = Servers * ?MOST_WAITING div Threads,
    Sends = lists:member(Operation, [route, mixed]),
    Most = case Sends of true -> max(1, min(?MOST_OPERATIONS, Room)); false -> ?MOST_OPERATIONS end,
    Lap = fun(N) ->
        [Pid ! {go, N} || Pid <- Workers],
        Times = [receive {done, Pid, Took, Failed} -> {Took, Failed} end || Pid <- Workers],
        case Sends of true -> settle(Keepers); false -> ok end,
        Times
    end,
    Outcome = warm_up(Lap, 2, min(?FIRST_OPERATIONS, Most), Most, Slice, Threads),
    [Pid ! stop || Pid <- Workers],
    case Outcome of
        {ok, Spent, Done} ->
            Ns = lists:sum(Spent) / (Done * Threads),
            Rate = lists:sum([Done * 1.0e9 / S || S <- Spent]),
            io:format("~s measured ~.3f ~.1f~n", [Operation, Ns, Rate]);
        {failed, Failures} ->
            io:format("~s failed ~b operations did not do what they should~n", [Operation, Failures])
    end.

warm_up(Lap, 0, N, _Most, Slice, Threads) ->
    laps(Lap, N, Slice * Threads, lists:duplicate(Threads, 0), 0);
warm_up(Lap, Left, N, Most, Slice, Threads) ->
    Times = Lap(N),
    case failures(Times) of
        0 ->
            Longest = max(1, lists:max([Took || {Took, _} <- Times])),
            warm_up(Lap, Left - 1, max(1, min(Most, N * Slice div (Longest * ?LAPS))), Most, Slice, Threads);
        Failures ->
            {failed, Failures}
    end.

laps(Lap, N, Slice, Spent, Done) ->
    case Done > 0 andalso lists:sum(Spent) >= Slice of
        true ->
            {ok, Spent, Done};
        false ->
            Times = Lap(N),
            case failures(Times) of
                0 -> laps(Lap, N, Slice, [S + Took || {S, {Took, _}} <- lists:zip(Spent, Times)], Done + N);
                Failures -> {failed, Failures}
            end
    end.

failures(Times) ->
    lists:sum([Failed || {_, Failed} <- Times]).

%% What a worker repeats, and where it begins.
row(lookup, _) -> persistent_term:get({names, order});
row(route, _) -> persistent_term:get({names, order});
row(hot, _) -> persistent_term:get({names, hot});
row(mixed, Thread) -> persistent_term:get({names, {steps, Thread}});
row(_, Thread) -> persistent_term:get({names, {absent, Thread}}).

rotated(Operation, All, Thread, Threads) when Operation =:= lookup; Operation =:= route ->
    lists:nthtail(Thread * length(All) div Threads, All);
rotated(_, All, _, _) ->
    All.

worker(Parent, Operation, All, Rest) ->
    receive
        {go, N} ->
            Began = erlang:monotonic_time(nanosecond),
            {Left, Failed} = lap(Operation, All, Rest, N, 0),
            Took = erlang:monotonic_time(nanosecond) - Began,
            Parent ! {done, self(), Took, Failed},
            worker(Parent, Operation, All, Left);
        stop ->
            ok
    end.

lap(lookup, All, Rest, N, F) -> lookups(All, Rest, N, F);
lap(hot, All, Rest, N, F) -> lookups(All, Rest, N, F);
lap(miss, All, Rest, N, F) -> misses(All, Rest, N, F);
lap(route, All, Rest, N, F) -> routes(All, Rest, N, F);
lap(register, All, Rest, N, F) -> registers(All, Rest, N, F);
lap(mixed, All, Rest, N, F) -> steps(All, Rest, N, F).

lookups(_, Rest, 0, F) -> {Rest, F};
lookups(All, [], N, F) -> lookups(All, All, N, F);
lookups(All, [Key | Rest], N, F) ->
    case find(Key) of
        {ok, Pid, _} when is_pid(Pid) -> lookups(All, Rest, N - 1, F);
        _ -> lookups(All, Rest, N - 1, F + 1)
    end.

misses(_, Rest, 0, F) -> {Rest, F};
misses(All, [], N, F) -> misses(All, All, N, F);
misses(All, [Key | Rest], N, F) ->
    case find(Key) of
        error -> misses(All, Rest, N - 1, F);
        _ -> misses(All, Rest, N - 1, F + 1)
    end.

routes(_, Rest, 0, F) -> {Rest, F};
routes(All, [], N, F) -> routes(All, All, N, F);
routes(All, [Key | Rest], N, F) ->
    case route(Key) of
        true -> routes(All, Rest, N - 1, F);
        false -> routes(All, Rest, N - 1, F + 1)
    end.

registers(_, Rest, 0, F) -> {Rest, F};
registers(All, [], N, F) -> registers(All, All, N, F);
registers(All, [Key | Rest], N, F) ->
    case register_as(Key, self()) andalso leave(Key) of
        true -> registers(All, Rest, N - 1, F);
        false -> registers(All, Rest, N - 1, F + 1)
    end.

steps(_, Rest, 0, F) -> {Rest, F};
steps(All, [], N, F) -> steps(All, All, N, F);
steps(All, [Step | Rest], N, F) ->
    case step(Step) of
        true -> steps(All, Rest, N - 1, F);
        false -> steps(All, Rest, N - 1, F + 1)
    end.

step({lookup, Key}) -> case find(Key) of {ok, Pid, _} when is_pid(Pid) -> true; _ -> false end;
step({route, Key}) -> route(Key);
step({register, Key}) -> register_as(Key, self()) andalso leave(Key);
step({bind, Transport, Server}) -> bind(Transport, Server).

%% ----- The file of names -----

%% Parts of a file would keep the whole file and be slower to compare, so each id is copied.
read(File) ->
    {ok, Text} = file:read_file(File),
    Lines = binary:split(Text, <<"\n">>, [global, trim_all]),
    Names = lists:foldl(fun(Line, Names) -> name(binary:split(Line, <<" ">>, [global]), Names) end, #{}, Lines),
    maps:map(fun(_, Row) -> lists:reverse(Row) end, Names).

name([<<"server">>, Id], Names) -> add(server, id(Id), Names);
name([<<"transport">>, Id], Names) -> add(transport, id(Id), Names);
name([<<"order">>, Id], Names) -> add(order, id(Id), Names);
name([<<"absent">>, Thread, Id], Names) -> add({absent, binary_to_integer(Thread)}, id(Id), Names);
name([<<"lookup">>, Thread, Id], Names) -> add({steps, binary_to_integer(Thread)}, {lookup, id(Id)}, Names);
name([<<"route">>, Thread, Id], Names) -> add({steps, binary_to_integer(Thread)}, {route, id(Id)}, Names);
name([<<"register">>, Thread, Id], Names) -> add({steps, binary_to_integer(Thread)}, {register, id(Id)}, Names);
name([<<"bind">>, Thread, Id, To], Names) -> add({steps, binary_to_integer(Thread)}, {bind, id(Id), id(To)}, Names).

id(Part) -> binary:copy(Part).

add(Row, Item, Names) -> maps:update_with(Row, fun(Items) -> [Item | Items] end, [Item], Names).
