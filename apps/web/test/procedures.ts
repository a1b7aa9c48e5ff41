// Who may call what, written down a second time: a procedure that was made for the wrong role does not agree with it, and one that is not
// in it fails the walk.
import type { Role } from "@/server/roles.ts";

export const least: Record<string, Role> = {
  "alerts.count": "viewer",
  "alerts.list": "viewer",
  "alerts.live": "viewer",
  "deductions.count": "viewer",
  "deductions.list": "viewer",
  "deductions.newer": "viewer",
  "operators.changePassword": "viewer",
  "operators.create": "admin",
  "operators.list": "admin",
  "operators.me": "viewer",
  "operators.mySessions": "viewer",
  "operators.resetPassword": "admin",
  "operators.setEnabled": "admin",
  "operators.setRole": "admin",
  "operators.signOut": "admin",
  "operators.signOutOthers": "viewer",
  "overview.figures": "viewer",
  "overview.live": "viewer",
  "streams.cleanup": "admin",
  "streams.live": "viewer",
  "streams.previewCleanup": "admin",
  "streams.unaccounted": "viewer",
  "views.list": "viewer",
  "views.put": "viewer",
  "views.remove": "viewer",
};
