# Elixir's Registry with 64 partitions, under the same work as the other peers: a process for each entry, which registers
# itself.
#
# Called with a file of names, the number of workers and the microseconds of a measurement; prints a line for each
# operation. While a lap is timed the processes are suspended, so that messages lie in their mailboxes as they do in
# the other peers'.
defmodule Peers.Names do
  @moduledoc false

  # Parts of a file would keep the whole file and be slower to compare, so each id is copied.
  def read(file) do
    file
    |> File.read!()
    |> :binary.split("\n", [:global, :trim_all])
    |> Enum.reduce(%{}, fn line, names -> name(:binary.split(line, " ", [:global]), names) end)
    |> Map.new(fn {row, items} -> {row, Enum.reverse(items)} end)
  end

  defp name(["server", id], names), do: add(names, :server, copy(id))
  defp name(["transport", id], names), do: add(names, :transport, copy(id))
  defp name(["order", id], names), do: add(names, :order, copy(id))
  defp name(["absent", thread, id], names), do: add(names, {:absent, String.to_integer(thread)}, copy(id))
  defp name(["lookup", thread, id], names), do: add(names, {:steps, String.to_integer(thread)}, {:lookup, copy(id)})
  defp name(["route", thread, id], names), do: add(names, {:steps, String.to_integer(thread)}, {:route, copy(id)})
  defp name(["register", thread, id], names), do: add(names, {:steps, String.to_integer(thread)}, {:register, copy(id)})

  defp name(["bind", thread, id, to], names),
    do: add(names, {:steps, String.to_integer(thread)}, {:bind, copy(id), copy(to)})

  defp copy(part), do: :binary.copy(part)

  defp add(names, row, item), do: Map.update(names, row, [item], &[item | &1])
end

defmodule Peers.Keepers do
  @moduledoc false

  # Only a process itself can register itself, and it does so before anything is measured.
  def enter(keys) do
    parent = self()

    keepers =
      for key <- keys do
        spawn(fn ->
          {:ok, _} = Registry.register(Peers.Registry, key, nil)
          send(parent, :entered)
          keeper()
        end)
      end

    for _ <- keepers, do: receive(do: (:entered -> :ok))
    suspend(keepers)
    keepers
  end

  def settle(keepers) do
    Enum.each(keepers, &:erlang.resume_process/1)
    Enum.each(keepers, &send(&1, {:settled, self()}))
    for _ <- keepers, do: receive(do: (:settled -> :ok))
    suspend(keepers)
  end

  defp suspend(keepers), do: Enum.each(keepers, &:erlang.suspend_process/1)

  defp keeper do
    receive do
      {:settled, from} -> send(from, :settled)
      _ -> :taken
    end

    keeper()
  end
end

defmodule Peers.Laps do
  @moduledoc false

  def lap(:lookup, all, rest, n), do: lookups(all, rest, n, 0)
  def lap(:hot, all, rest, n), do: lookups(all, rest, n, 0)
  def lap(:miss, all, rest, n), do: misses(all, rest, n, 0)
  def lap(:route, all, rest, n), do: routes(all, rest, n, 0)
  def lap(:register, all, rest, n), do: registers(all, rest, n, 0)
  def lap(:mixed, all, rest, n), do: steps(all, rest, n, 0)

  defp lookups(_, rest, 0, f), do: {rest, f}
  defp lookups(all, [], n, f), do: lookups(all, all, n, f)

  defp lookups(all, [key | rest], n, f) do
    if find(key), do: lookups(all, rest, n - 1, f), else: lookups(all, rest, n - 1, f + 1)
  end

  defp misses(_, rest, 0, f), do: {rest, f}
  defp misses(all, [], n, f), do: misses(all, all, n, f)

  defp misses(all, [key | rest], n, f) do
    if find(key), do: misses(all, rest, n - 1, f + 1), else: misses(all, rest, n - 1, f)
  end

  defp routes(_, rest, 0, f), do: {rest, f}
  defp routes(all, [], n, f), do: routes(all, all, n, f)

  defp routes(all, [key | rest], n, f) do
    if route(key), do: routes(all, rest, n - 1, f), else: routes(all, rest, n - 1, f + 1)
  end

  defp registers(_, rest, 0, f), do: {rest, f}
  defp registers(all, [], n, f), do: registers(all, all, n, f)

  defp registers(all, [key | rest], n, f) do
    if register(key), do: registers(all, rest, n - 1, f), else: registers(all, rest, n - 1, f + 1)
  end

  defp steps(_, rest, 0, f), do: {rest, f}
  defp steps(all, [], n, f), do: steps(all, all, n, f)

  defp steps(all, [step | rest], n, f) do
    if step(step), do: steps(all, rest, n - 1, f), else: steps(all, rest, n - 1, f + 1)
  end

  defp step({:lookup, key}), do: find(key)
  defp step({:route, key}), do: route(key)
  defp step({:register, key}), do: register(key)
  defp step({:bind, transport, server}), do: bind(transport, server)

  defp find(key) do
    case Registry.lookup(Peers.Registry, key) do
      [{pid, _}] when is_pid(pid) -> true
      [] -> false
    end
  end

  defp route(key) do
    case Registry.lookup(Peers.Registry, key) do
      [{pid, _}] ->
        send(pid, {:message, self(), 1})
        true

      [] ->
        false
    end
  end

  defp register(key) do
    case Registry.register(Peers.Registry, key, nil) do
      {:ok, _} -> Registry.unregister(Peers.Registry, key) == :ok
      _ -> false
    end
  end

  defp bind(transport, server) do
    find(server) and find(transport) and :ets.insert(Peers.Bindings, {transport, server})
  end
end

defmodule Peers.Measure do
  @moduledoc false

  @most_operations 131_072
  @first_operations 512
  @laps 4
  @most_waiting 128

  # Laps until they have taken as long as was asked for, after two that do not count.
  def measure(operation, servers, keepers, threads, slice) do
    parent = self()

    workers =
      for thread <- 0..(threads - 1) do
        spawn_link(fn ->
          all = row(operation, thread)
          worker(parent, operation, all, rotated(operation, all, thread, threads))
        end)
      end

    sends = operation in [:route, :mixed]
    room = div(servers * @most_waiting, threads)
    most = if sends, do: max(1, min(@most_operations, room)), else: @most_operations

    lap = fn n ->
      Enum.each(workers, &send(&1, {:go, n}))
      times = for worker <- workers, do: receive(do: ({:done, ^worker, took, failed} -> {took, failed}))
      if sends, do: Peers.Keepers.settle(keepers)
      times
    end

    outcome = warm_up(lap, 2, min(@first_operations, most), most, slice, threads)
    Enum.each(workers, &send(&1, :stop))

    case outcome do
      {:ok, spent, done} ->
        ns = Enum.sum(spent) / (done * threads)
        rate = spent |> Enum.map(&(done * 1.0e9 / &1)) |> Enum.sum()
        :io.format("~s measured ~.3f ~.1f~n", [operation, ns, rate])

      {:failed, failures} ->
        :io.format("~s failed ~b operations did not do what they should~n", [operation, failures])
    end
  end

  defp warm_up(lap, 0, n, _most, slice, threads), do: laps(lap, n, slice * threads, List.duplicate(0, threads), 0)

  defp warm_up(lap, left, n, most, slice, threads) do
    times = lap.(n)

    case failures(times) do
      0 ->
        longest = times |> Enum.map(&elem(&1, 0)) |> Enum.max() |> max(1)
        warm_up(lap, left - 1, max(1, min(most, div(n * slice, longest * @laps))), most, slice, threads)

      failures ->
        {:failed, failures}
    end
  end

  defp laps(lap, n, slice, spent, done) do
    if done > 0 and Enum.sum(spent) >= slice do
      {:ok, spent, done}
    else
      times = lap.(n)

      case failures(times) do
        0 -> laps(lap, n, slice, Enum.zip_with(spent, times, fn sum, {took, _} -> sum + took end), done + n)
        failures -> {:failed, failures}
      end
    end
  end

  defp failures(times), do: times |> Enum.map(&elem(&1, 1)) |> Enum.sum()

  # What a worker repeats, and where it begins.
  defp row(operation, _) when operation in [:lookup, :route], do: :persistent_term.get({:names, :order})
  defp row(:hot, _), do: :persistent_term.get({:names, :hot})
  defp row(:mixed, thread), do: :persistent_term.get({:names, {:steps, thread}})
  defp row(_, thread), do: :persistent_term.get({:names, {:absent, thread}})

  defp rotated(operation, all, thread, threads) when operation in [:lookup, :route] do
    Enum.drop(all, div(thread * length(all), threads))
  end

  defp rotated(_, all, _, _), do: all

  defp worker(parent, operation, all, rest) do
    receive do
      {:go, n} ->
        began = :erlang.monotonic_time(:nanosecond)
        {left, failed} = Peers.Laps.lap(operation, all, rest, n)
        took = :erlang.monotonic_time(:nanosecond) - began
        send(parent, {:done, self(), took, failed})
        worker(parent, operation, all, left)

      :stop ->
        :ok
    end
  end
end

[file, threads, slice] = System.argv()
threads = String.to_integer(threads)
slice = String.to_integer(slice) * 1000
IO.puts("version #{System.version()} on Erlang/OTP #{System.otp_release()}")
names = Peers.Names.read(file)
# Persistent terms are not copied to who gets them, nor collected: names cost the workers nothing.
Enum.each(names, fn {row, items} -> :persistent_term.put({:names, row}, items) end)
:persistent_term.put({:names, :hot}, List.duplicate(hd(names.server), 64))
{:ok, _} = Registry.start_link(keys: :unique, name: Peers.Registry, partitions: 64)
:ets.new(Peers.Bindings, [:set, :public, :named_table, read_concurrency: true, write_concurrency: true])
keepers = Peers.Keepers.enter(names.server ++ names.transport)

for operation <- [:lookup, :miss, :hot, :route, :register, :mixed] do
  Peers.Measure.measure(operation, length(names.server), keepers, threads, slice)
end

System.halt(0)
