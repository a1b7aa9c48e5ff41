// The door of packages/billing: what a gateway, a worker, the command line and the console call.
import "./v8.ts";

export { type Acceptance, type AcceptOutcome, acceptBreak } from "./accept.ts";
export {
  type AccountActOutcome,
  type AccountSettings,
  freezeAccount,
  setCreditLimit,
  unfreezeAccount,
} from "./account-acts.ts";
export { type AccountStanding, type OpenHold, readAccountStanding } from "./account-standing.ts";
export { type Balance, peekBalance, readBalance } from "./balance.ts";
export { type Billing, type BillingOptions, closeBilling, openBilling } from "./billing.ts";
export type { AcceptedBreak, Problem, ProblemKind } from "./breaks.ts";
export type { ChainReport, RepairLink } from "./chain.ts";
export { type ChargeFailure, type ChargeOutcome, charge, chargeMany, findRequest } from "./charge.ts";
export {
  type CleanupSettings,
  cleanup,
  defaultCleanupSettings,
  type KeptReason,
  type ShardCleanup,
} from "./cleanup.ts";
export { type CommandAct, commandFor, searchFor } from "./command-line.ts";
export { type ConsumeOptions, type ConsumeSettings, consume, defaultConsumeSettings } from "./consume.ts";
export { type ApplyCreditsOptions, applyCredit, applyCredits, type CreditOutcome, catchUpCredits } from "./credit.ts";
export { decodeRaw, encodeRaw } from "./dead-letters.ts";
export type { ChargeRequest, Deduction, Refusal } from "./draw.ts";
export { type Append, type Durability, readDurability } from "./durability.ts";
export type { Figures } from "./equation.ts";
export { BillingError, type BillingErrorCode, type BillingErrorOptions } from "./errors.ts";
export { type CostExplanation, type CostlyRow, explainCost, explainCosts, metadataOf } from "./explain.ts";
export { UnreadableEntry } from "./fields.ts";
export { alertChains, alertDrift, alertUnaccounted, endDoubts } from "./findings.ts";
export { type CreditToGive, type GiveCreditOutcome, type GivenCredit, giveCredit } from "./give-credit.ts";
export {
  type CaptureOutcome,
  captureHold,
  extendHold,
  type Hold,
  type HoldOutcome,
  type HoldRef,
  type HoldRequest,
  openHold,
  voidHold,
} from "./hold.ts";
export { GROUP, shardOf, shardOfStream, streamKey } from "./keys.ts";
export {
  countDeadLetters,
  type DeadLetter,
  discardLetters,
  findLetterIds,
  type LetterActResult,
  type LetterEvent,
  type LetterFilters,
  type LetterSelection,
  type LetterState,
  listDeadLetters,
  restoreLetters,
} from "./letters.ts";
export { loadAccount } from "./load.ts";
export {
  formatPrice,
  formatUnits,
  MAX_AMOUNT_NANOS,
  NANOS_PER_UNIT,
  parseCost,
  parsePrice,
  parseUnits,
  TOTAL_CREDITS_LIMIT_NANOS,
} from "./money.ts";
export {
  defaultMonitorSettings,
  type Judgement,
  type MonitoredKind,
  type MonitorSettings,
  monitor,
} from "./monitor.ts";
export { type Observe, type ObservePoint, unobserved } from "./observe.ts";
export { type OpenHolds, readOpenHolds } from "./open-holds.ts";
export {
  type CleanedShard,
  type CleanedShards,
  type CleanupPreview,
  previewCleanup,
  startCleanup,
} from "./operation-cleanup.ts";
export { commandOfRecord } from "./operation-command.ts";
export {
  countNewerOperations,
  countOperationItems,
  countOperations,
  type ItemFilters,
  listAccountOperations,
  type OperationListFilters,
  type OperationRecord,
  pageOperationItems,
  pageOperations,
  readOperationRecord,
} from "./operation-list.ts";
export { controlOperation, type RunOutcome, resumeOperations, runOperation, type Wish } from "./operation-run.ts";
export {
  type Act,
  type ItemOutcome,
  listItems,
  listOperations,
  MAX_TARGETS,
  OPERATION_JOB,
  type Operation,
  type OperationCounts,
  type OperationFilters,
  type OperationItem,
  type OperationState,
  readOperation,
  recordAct,
} from "./operations.ts";
export {
  admitOperator,
  type CreateOperatorOutcome,
  changeOwnPassword,
  createOperator,
  ensureOperator,
  listOperatorSessions,
  listOperators,
  type Operator,
  type OperatorChange,
  type OperatorSession,
  type OperatorToEnsure,
  type ResetPasswordOutcome,
  resetOperatorPassword,
  setOperatorEnabled,
  setOperatorRole,
  signOutOperator,
  signOutOthers,
  temporaryPassword,
} from "./operators.ts";
export { type EntryFilters, listPending, type PendingEntry, type PendingFilters } from "./pending.ts";
export { type PendingAges, readPendingAges } from "./pending-ages.ts";
export { countNewerPending, countPending, pagePending, withinPin } from "./pending-page.ts";
export { type Cost, costOf, type Explanation, type Price, type PriceModel, type RateKind } from "./price.ts";
export {
  listPriceRows,
  type PriceFilters,
  type PriceToSet,
  type RemovePriceOutcome,
  removePrice,
  type SetPriceOutcome,
  type StoredPrice,
  setPrice,
} from "./price-acts.ts";
export {
  type Bound,
  boundInput,
  DEFAULT_MAX_OUTPUT_TOKENS,
  mostCost,
  type UpperEstimate,
  upperEstimate,
} from "./price-estimate.ts";
export { importPrices, type PriceImport } from "./price-import.ts";
export {
  buildPriceList,
  listPrices,
  loadPriceList,
  type PriceList,
  type PriceQuery,
  type PriceRow,
  pricesHoldUntilMs,
  type ResolvedPrice,
  resolvePrice,
} from "./price-list.ts";
export {
  type CallCost,
  type PriceChange,
  type PriceChangePreview,
  previewPriceChange,
  priceCall,
} from "./price-preview.ts";
export { type Proof, type ProvenShard, proveAll, proveShard, readMark, readProven } from "./proven.ts";
export {
  listProviders,
  type ProviderToSet,
  type RemoveProviderOutcome,
  removeProvider,
  type SetProviderOutcome,
  type StoredProvider,
  setProvider,
} from "./provider-acts.ts";
export { admitRequest, type RateOutcome } from "./rate.ts";
export {
  type DriftClass,
  type Finding,
  type ReconcileOptions,
  type Reconciliation,
  reconcile,
  type UnaccountedEntry,
} from "./reconcile.ts";
export { type Refund, type Refundable, type RefundOutcome, readRefundable, refund } from "./refund.ts";
export { type RepairOutcome, repair } from "./repair.ts";
export { type PlannedLink, planRepair, type RepairPlan, type WriteOff } from "./repair-plan.ts";
export { freezeReplay, startReplay } from "./replay.ts";
export type { ReplaySelection, ReplayTarget } from "./replay-find.ts";
export { type PlannedTarget, planReplay, type ReplayPlan, type TargetClass } from "./replay-plan.ts";
export {
  previewRetention,
  RETENTION_DAYS_LEAST,
  type Retained,
  type RetainedFile,
  type RetentionPreview,
  type RetentionSettings,
  retain,
} from "./retention-run.ts";
export { type RetentionProblem, type RetentionVerification, verifyRetention } from "./retention-verify.ts";
export { readSpent, type SpendLimit, type SpendPeriod } from "./spend.ts";
export { readStandings, readStandingsOf, type Standing, type StandingEntry } from "./standing.ts";
export { readStats, readStreams, type ShardConsumer, type ShardStats, type Stats, type StreamStats } from "./stats.ts";
export {
  type AccountRef,
  type AccountType,
  type BalanceCheck,
  decodeEntry,
  type Entry,
  isUuid,
  type LinkEntry,
  type RawEntry,
  type UsageEntry,
  type UsageSource,
} from "./stream.ts";
export { alertUncaptured, listUncaptured, sweepHolds, type UncapturedHold } from "./sweep.ts";
export { type Neighbour, type TouchingOperation, type Trace, trace } from "./trace.ts";
export type { HoldFound } from "./trace-find.ts";
export type { Hop, HopName, TraceState } from "./trace-hops.ts";
export { readTrail, type TrailProblem, type TrailRow, type WaitingLink } from "./trail.ts";
export { listUnaccounted } from "./unaccounted.ts";
export { readUsage, type Usage } from "./usage.ts";
export { type ChainVerification, type VerifyOptions, verifyChain } from "./verify-chain.ts";
export {
  type ApiKey,
  type CreateKeyOutcome,
  createKey,
  type HoldPolicy,
  hashSecret,
  type KeyChanges,
  type KeyLimits,
  type KeyToCreate,
  type LeavePolicy,
  listKeys,
  type RevokeKeyOutcome,
  revokeKey,
  type UpdateKeyOutcome,
  updateKey,
} from "./virtual-keys.ts";
