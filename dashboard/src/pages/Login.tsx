import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api } from "../api/client";

/** Asks for a token and exchanges it for a session cookie. */
export function Login() {
  const [token, setToken] = useState("");
  const queries = useQueryClient();
  const login = useMutation({
    mutationFn: () => api.login(token.trim()),
    onSuccess: () => queries.invalidateQueries(),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    login.mutate();
  };
  return (
    <main className="mx-auto mt-24 max-w-sm px-4">
      <form onSubmit={submit} className="flex flex-col gap-3 rounded-lg border border-line bg-panel p-6">
        <h1 className="text-lg font-semibold">Penstock</h1>
        <p className="text-sm text-muted">
          Open the link that <code>penstock up</code> printed, or paste the admin token; it is in the file{" "}
          <code>admin-token</code> of the data folder. In a cluster, paste a token of yours (
          <code>kubectl create token</code>), or the admin token of the Secret{" "}
          <code>penstock-admin-token</code>.
        </p>
        <label className="flex flex-col gap-1 text-sm">
          Token
          <input
            type="password"
            autoComplete="current-password"
            required
            value={token}
            onChange={(event) => setToken(event.target.value)}
            className="rounded border border-line bg-page px-2 py-1.5"
          />
        </label>
        <button
          type="submit"
          disabled={login.isPending}
          className="rounded bg-accent px-3 py-1.5 font-medium text-panel disabled:opacity-50"
        >
          Log in
        </button>
        {login.error && (
          <p role="alert" className="text-sm text-bad">
            {login.error.message}
          </p>
        )}
      </form>
    </main>
  );
}
