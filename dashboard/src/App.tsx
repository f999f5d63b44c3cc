import { useQuery } from "@tanstack/react-query";
import { api, isUnauthorized } from "./api/client";
import { Login } from "./pages/Login";
import { Overview } from "./pages/Overview";

/** Shows the login form while the API refuses us, and the pages otherwise. */
export function App() {
  const accounts = useQuery({ queryKey: ["accounts"], queryFn: api.accounts });
  if (isUnauthorized(accounts.error)) {
    return <Login />;
  }
  return (
    <>
      <header className="border-b border-line bg-panel">
        <div className="mx-auto flex max-w-6xl items-center gap-3 px-4 py-3">
          <img src="/favicon.svg" alt="" className="size-6" />
          <h1 className="text-base font-semibold">Penstock</h1>
          {accounts.error && (
            <p role="alert" className="ml-auto text-sm text-bad">
              The controller does not answer; what you see is the last known state.
            </p>
          )}
        </div>
      </header>
      <main className="mx-auto max-w-6xl px-4 py-6">
        <Overview accounts={accounts.data} />
      </main>
    </>
  );
}
