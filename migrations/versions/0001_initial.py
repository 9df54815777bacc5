"""All tables of the first version, and the full-text index of published proposals."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001_initial"
down_revision = None


def upgrade() -> None:
    """Go one step up."""
    op.create_table(
        "account",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("display_name", sa.String(length=300), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=True),
        sa.Column("email_confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("totp_secret_sealed", sa.String(length=300), nullable=True),
        sa.Column("totp_confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("totp_last_step", sa.Integer(), nullable=True),
        sa.Column("locale", sa.String(length=10), nullable=False),
        sa.Column("is_disabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
        sa.UniqueConstraint("email", name=op.f("uq_account_email")),
    )
    op.create_table(
        "audit_entry",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=60), nullable=False),
        sa.Column("action", sa.String(length=60), nullable=False),
        sa.Column("subject_type", sa.String(length=40), nullable=False),
        sa.Column("subject_id", sa.Integer(), nullable=True),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entry")),
    )
    op.create_index(op.f("ix_audit_entry_action"), "audit_entry", ["action"])
    op.create_index("ix_audit_entry_subject", "audit_entry", ["subject_type", "subject_id"])
    op.create_table(
        "municipality",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("parent_id", sa.Integer(), nullable=True),
        sa.Column(
            "kind",
            sa.Enum("town", "kreis", name="municipalitykind", native_enum=False, length=40),
            nullable=False,
        ),
        sa.Column("slug", sa.String(length=60), nullable=False),
        sa.Column("name", sa.String(length=300), nullable=False),
        sa.Column("ags", sa.String(length=8), nullable=False),
        sa.Column("host", sa.String(length=253), nullable=True),
        sa.Column("email", sa.String(length=300), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("website", sa.String(length=300), nullable=False),
        sa.Column("intro", sa.Text(), nullable=False),
        sa.Column("accent_color", sa.String(length=7), nullable=False),
        sa.Column("logo_upload_id", sa.Integer(), nullable=True),
        sa.Column("boundary", sa.JSON(), nullable=True),
        sa.Column("sketch", sa.JSON(), nullable=True),
        sa.Column("west", sa.Double(), nullable=True),
        sa.Column("south", sa.Double(), nullable=True),
        sa.Column("east", sa.Double(), nullable=True),
        sa.Column("north", sa.Double(), nullable=True),
        sa.Column("content_version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("parent_id IS NULL OR parent_id <> id", name=op.f("ck_municipality_not_own_parent")),
        sa.ForeignKeyConstraint(["parent_id"], ["municipality.id"], name=op.f("fk_municipality_parent_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_municipality")),
        sa.UniqueConstraint("ags", name=op.f("uq_municipality_ags")),
        sa.UniqueConstraint("host", name=op.f("uq_municipality_host")),
        sa.UniqueConstraint("slug", name=op.f("uq_municipality_slug")),
    )
    op.create_index(op.f("ix_municipality_parent_id"), "municipality", ["parent_id"])
    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=120), nullable=False),
        sa.Column("job", sa.String(length=60), nullable=False),
        sa.Column("args", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("not_before_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.String(length=200), nullable=True),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("key", name=op.f("uq_outbox_key")),
    )
    op.create_index("ix_outbox_open", "outbox", ["done_at", "failed_at", "not_before_at"])
    op.create_table(
        "district",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("municipality_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=300), nullable=False),
        sa.Column("boundary", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["municipality_id"],
            ["municipality.id"],
            name=op.f("fk_district_municipality_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_district")),
        sa.UniqueConstraint("municipality_id", "name", name=op.f("uq_district_municipality_id_name")),
    )
    op.create_table(
        "municipality_page",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("municipality_id", sa.Integer(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "impressum",
                "datenschutz",
                "barrierefreiheit",
                "netiquette",
                "hilfe",
                "leichte-sprache",
                name="pagekind",
                native_enum=False,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["municipality_id"],
            ["municipality.id"],
            name=op.f("fk_municipality_page_municipality_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_municipality_page")),
        sa.UniqueConstraint("municipality_id", "kind", name=op.f("uq_municipality_page_municipality_id_kind")),
    )
    op.create_table(
        "one_time_token",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column(
            "purpose",
            sa.Enum(
                "confirm_email",
                "reset_password",
                "staff_invitation",
                name="tokenpurpose",
                native_enum=False,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_one_time_token_account_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_one_time_token")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_one_time_token_token_hash")),
    )
    op.create_index("ix_one_time_token_account_purpose", "one_time_token", ["account_id", "purpose"])
    op.create_table(
        "recovery_code",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("code_hash", sa.String(length=64), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_recovery_code_account_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recovery_code")),
    )
    op.create_index(op.f("ix_recovery_code_account_id"), "recovery_code", ["account_id"])
    op.create_table(
        "sign_in_session",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("second_factor_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("device", sa.String(length=60), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_sign_in_session_account_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_in_session")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_sign_in_session_token_hash")),
    )
    op.create_index(op.f("ix_sign_in_session_account_id"), "sign_in_session", ["account_id"])
    op.create_table(
        "upload",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("municipality_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("media_type", sa.String(length=100), nullable=False),
        sa.Column("shown_name", sa.String(length=200), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("byte_size", sa.Integer(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["municipality_id"],
            ["municipality.id"],
            name=op.f("fk_upload_municipality_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_upload")),
        sa.UniqueConstraint("name", name=op.f("uq_upload_name")),
    )
    op.create_index(op.f("ix_upload_municipality_id"), "upload", ["municipality_id"])
    op.create_table(
        "process",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("municipality_id", sa.Integer(), nullable=False),
        sa.Column("slug", sa.String(length=80), nullable=False),
        sa.Column(
            "state",
            sa.Enum("draft", "published", "archived", name="processstate", native_enum=False, length=40),
            nullable=False,
        ),
        sa.Column("title", sa.String(length=300), nullable=False),
        sa.Column("summary", sa.String(length=500), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("theme_label", sa.String(length=60), nullable=False),
        sa.Column("contact", sa.Text(), nullable=False),
        sa.Column("picture_id", sa.Integer(), nullable=True),
        sa.Column("picture_alt", sa.String(length=300), nullable=False),
        sa.Column("attribution", sa.String(length=300), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("catalogue_is_public", sa.Boolean(), nullable=False),
        sa.Column("proposal_count", sa.Integer(), nullable=False),
        sa.Column("comment_count", sa.Integer(), nullable=False),
        sa.Column("support_count", sa.Integer(), nullable=False),
        sa.Column("participant_count", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["municipality_id"],
            ["municipality.id"],
            name=op.f("fk_process_municipality_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["picture_id"], ["upload.id"], name=op.f("fk_process_picture_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_process")),
        sa.UniqueConstraint("municipality_id", "slug", name=op.f("uq_process_municipality_id_slug")),
    )
    op.create_index("ix_process_listing", "process", ["municipality_id", "state", "position"])
    op.create_table(
        "participant",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("process_id", sa.Integer(), nullable=False),
        sa.Column("person_hash", sa.String(length=64), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "account",
                "guest",
                "kiosk",
                "paper",
                "imported",
                name="participantkind",
                native_enum=False,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("pseudonym", sa.String(length=300), nullable=False),
        sa.Column("is_staff", sa.Boolean(), nullable=False),
        sa.Column("contact_sealed", sa.String(length=600), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("length(person_hash) = 64", name=op.f("ck_participant_person_hash_length")),
        sa.ForeignKeyConstraint(
            ["process_id"], ["process.id"], name=op.f("fk_participant_process_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_participant")),
        sa.UniqueConstraint("process_id", "person_hash", name=op.f("uq_participant_process_id_person_hash")),
    )
    op.create_table(
        "phase",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("process_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("format_key", sa.String(length=40), nullable=False),
        sa.Column("title", sa.String(length=300), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stored_settings", sa.JSON(), nullable=False),
        sa.CheckConstraint(
            "starts_at IS NULL OR ends_at IS NULL OR starts_at < ends_at",
            name=op.f("ck_phase_starts_before_it_ends"),
        ),
        sa.ForeignKeyConstraint(["process_id"], ["process.id"], name=op.f("fk_phase_process_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_phase")),
    )
    op.create_index(op.f("ix_phase_process_id"), "phase", ["process_id"])
    op.create_table(
        "process_document",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("process_id", sa.Integer(), nullable=False),
        sa.Column("upload_id", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(length=300), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["process_id"], ["process.id"], name=op.f("fk_process_document_process_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["upload_id"], ["upload.id"], name=op.f("fk_process_document_upload_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_process_document")),
    )
    op.create_index(op.f("ix_process_document_process_id"), "process_document", ["process_id"])
    op.create_table(
        "role_grant",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column(
            "role",
            sa.Enum("admin", "editor", "moderator", "planner", name="role", native_enum=False, length=40),
            nullable=False,
        ),
        sa.Column("municipality_id", sa.Integer(), nullable=False),
        sa.Column("process_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_role_grant_account_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["municipality_id"],
            ["municipality.id"],
            name=op.f("fk_role_grant_municipality_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["process_id"], ["process.id"], name=op.f("fk_role_grant_process_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_role_grant")),
        sa.UniqueConstraint(
            "account_id",
            "role",
            "municipality_id",
            "process_id",
            name=op.f("uq_role_grant_account_id_role_municipality_id_process_id"),
        ),
    )
    op.create_index(op.f("ix_role_grant_account_id"), "role_grant", ["account_id"])
    op.create_table(
        "theme",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("process_id", sa.Integer(), nullable=False),
        sa.Column("slug", sa.String(length=80), nullable=False),
        sa.Column("name", sa.String(length=300), nullable=False),
        sa.Column("description", sa.String(length=500), nullable=False),
        sa.Column("tone", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("proposal_count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["process_id"], ["process.id"], name=op.f("fk_theme_process_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_theme")),
        sa.UniqueConstraint("process_id", "slug", name=op.f("uq_theme_process_id_slug")),
    )
    op.create_table(
        "contribution",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("process_id", sa.Integer(), nullable=False),
        sa.Column("phase_id", sa.Integer(), nullable=True),
        sa.Column("theme_id", sa.Integer(), nullable=True),
        sa.Column("participant_id", sa.Integer(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "draft",
                "submitted",
                "published",
                "returned",
                "rejected",
                "hidden",
                "withdrawn",
                name="contributionstate",
                native_enum=False,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("state_reason", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("revision_number", sa.Integer(), nullable=False),
        sa.Column("submission_key", sa.String(length=64), nullable=True),
        sa.Column("source_key", sa.String(length=300), nullable=True),
        sa.Column("receipt_number", sa.String(length=20), nullable=True),
        sa.Column("claim_token_hash", sa.String(length=64), nullable=True),
        sa.Column("support_count", sa.Integer(), nullable=False),
        sa.Column("comment_count", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state IN ('hidden', 'rejected')) = (state_reason IS NOT NULL)",
            name=op.f("ck_contribution_hidden_has_reason"),
        ),
        sa.CheckConstraint(
            "state <> 'published' OR published_at IS NOT NULL",
            name=op.f("ck_contribution_published_has_date"),
        ),
        sa.CheckConstraint(
            "support_count >= 0 AND comment_count >= 0", name=op.f("ck_contribution_counts_not_negative")
        ),
        sa.ForeignKeyConstraint(["participant_id"], ["participant.id"], name=op.f("fk_contribution_participant_id")),
        sa.ForeignKeyConstraint(["phase_id"], ["phase.id"], name=op.f("fk_contribution_phase_id"), ondelete="SET NULL"),
        sa.ForeignKeyConstraint(
            ["process_id"], ["process.id"], name=op.f("fk_contribution_process_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["theme_id"], ["theme.id"], name=op.f("fk_contribution_theme_id"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contribution")),
        sa.UniqueConstraint("claim_token_hash", name=op.f("uq_contribution_claim_token_hash")),
        sa.UniqueConstraint("process_id", "source_key", name=op.f("uq_contribution_process_id_source_key")),
        sa.UniqueConstraint("receipt_number", name=op.f("uq_contribution_receipt_number")),
        sa.UniqueConstraint("submission_key", name=op.f("uq_contribution_submission_key")),
    )
    op.create_index("ix_contribution_author", "contribution", ["participant_id", "id"])
    op.create_index("ix_contribution_discussed", "contribution", ["process_id", "kind", "state", "comment_count", "id"])
    op.create_index("ix_contribution_newest", "contribution", ["process_id", "kind", "state", "published_at", "id"])
    op.create_index("ix_contribution_supported", "contribution", ["process_id", "kind", "state", "support_count", "id"])
    op.create_index(
        "ix_contribution_theme_discussed",
        "contribution",
        ["theme_id", "kind", "state", "comment_count", "id"],
    )
    op.create_index("ix_contribution_theme_newest", "contribution", ["theme_id", "kind", "state", "published_at", "id"])
    op.create_index(
        "ix_contribution_theme_supported",
        "contribution",
        ["theme_id", "kind", "state", "support_count", "id"],
    )
    op.create_table(
        "measure",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("process_id", sa.Integer(), nullable=False),
        sa.Column("theme_id", sa.Integer(), nullable=True),
        sa.Column("code", sa.String(length=12), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(length=300), nullable=False),
        sa.Column("points", sa.Text(), nullable=False),
        sa.Column("remark", sa.Text(), nullable=False),
        sa.Column("is_greyed", sa.Boolean(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "idea",
                "planned",
                "decided",
                "in_progress",
                "done",
                "dropped",
                name="measurestate",
                native_enum=False,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column(
            "priority",
            sa.Enum("high", "medium", "low", name="priority", native_enum=False, length=40),
            nullable=True,
        ),
        sa.Column(
            "deviating_priority",
            sa.Enum("high", "medium", "low", name="priority", native_enum=False, length=40),
            nullable=True,
        ),
        sa.Column("deviation_reason", sa.Text(), nullable=False),
        sa.Column("field_of_action", sa.String(length=300), nullable=False),
        sa.Column("goal", sa.Text(), nullable=False),
        sa.Column("approach", sa.Text(), nullable=False),
        sa.Column("target_group", sa.Text(), nullable=False),
        sa.Column("actors", sa.Text(), nullable=False),
        sa.Column("resources", sa.Text(), nullable=False),
        sa.Column("benefit", sa.Text(), nullable=False),
        sa.Column("responsible", sa.String(length=300), nullable=False),
        sa.Column("decided_by", sa.String(length=300), nullable=False),
        sa.Column("communication", sa.Text(), nullable=False),
        sa.Column("cost", sa.String(length=300), nullable=False),
        sa.Column("timeframe", sa.String(length=300), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("NOT is_greyed OR remark <> ''", name=op.f("ck_measure_greyed_has_remark")),
        sa.CheckConstraint(
            "deviating_priority IS NULL OR deviation_reason <> ''",
            name=op.f("ck_measure_deviation_has_reason"),
        ),
        sa.ForeignKeyConstraint(["process_id"], ["process.id"], name=op.f("fk_measure_process_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["theme_id"], ["theme.id"], name=op.f("fk_measure_theme_id"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_measure")),
        sa.UniqueConstraint("process_id", "code", name=op.f("uq_measure_process_id_code")),
    )
    op.create_index(op.f("ix_measure_theme_id"), "measure", ["theme_id"])
    op.create_table(
        "comment",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("proposal_id", sa.Integer(), nullable=False),
        sa.Column("parent_id", sa.Integer(), nullable=True),
        sa.Column("thread_id", sa.Integer(), nullable=True),
        sa.Column("depth", sa.Integer(), nullable=False),
        sa.CheckConstraint("(depth = 0) = (parent_id IS NULL)", name=op.f("ck_comment_replies_have_parents")),
        sa.CheckConstraint("depth BETWEEN 0 AND 2", name=op.f("ck_comment_depth_of_three_levels")),
        sa.ForeignKeyConstraint(["id"], ["contribution.id"], name=op.f("fk_comment_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["parent_id"], ["contribution.id"], name=op.f("fk_comment_parent_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["proposal_id"], ["contribution.id"], name=op.f("fk_comment_proposal_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["thread_id"], ["contribution.id"], name=op.f("fk_comment_thread_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_comment")),
    )
    op.create_index(op.f("ix_comment_parent_id"), "comment", ["parent_id"])
    op.create_index("ix_comment_thread", "comment", ["proposal_id", "thread_id", "id"])
    op.create_table(
        "contribution_picture",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("contribution_id", sa.Integer(), nullable=False),
        sa.Column("upload_id", sa.Integer(), nullable=False),
        sa.Column("alt", sa.String(length=300), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["contribution_id"],
            ["contribution.id"],
            name=op.f("fk_contribution_picture_contribution_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["upload_id"], ["upload.id"], name=op.f("fk_contribution_picture_upload_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contribution_picture")),
    )
    op.create_index(op.f("ix_contribution_picture_contribution_id"), "contribution_picture", ["contribution_id"])
    op.create_table(
        "moderation_case",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("contribution_id", sa.Integer(), nullable=False),
        sa.Column("revision_number", sa.Integer(), nullable=False),
        sa.Column("process_id", sa.Integer(), nullable=False),
        sa.Column(
            "state",
            sa.Enum("open", "decided", "obsolete", name="casestate", native_enum=False, length=40),
            nullable=False,
        ),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("warning_count", sa.Integer(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'open') = (decided_at IS NULL)", name=op.f("ck_moderation_case_open_until_decided")
        ),
        sa.ForeignKeyConstraint(
            ["contribution_id"],
            ["contribution.id"],
            name=op.f("fk_moderation_case_contribution_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["process_id"], ["process.id"], name=op.f("fk_moderation_case_process_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_moderation_case")),
        sa.UniqueConstraint(
            "contribution_id",
            "revision_number",
            name=op.f("uq_moderation_case_contribution_id_revision_number"),
        ),
    )
    op.create_index(
        "ix_moderation_case_queue",
        "moderation_case",
        ["process_id", "state", "warning_count", "opened_at", "id"],
    )
    op.create_table(
        "proposal",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(length=300), nullable=False),
        sa.Column("lon", sa.Double(), nullable=True),
        sa.Column("lat", sa.Double(), nullable=True),
        sa.Column("place", sa.String(length=300), nullable=False),
        sa.Column("district_id", sa.Integer(), nullable=True),
        sa.CheckConstraint("(lon IS NULL) = (lat IS NULL)", name=op.f("ck_proposal_point_is_whole")),
        sa.CheckConstraint(
            "lon IS NULL OR (lon BETWEEN -180 AND 180 AND lat BETWEEN -90 AND 90)",
            name=op.f("ck_proposal_point_on_earth"),
        ),
        sa.ForeignKeyConstraint(
            ["district_id"], ["district.id"], name=op.f("fk_proposal_district_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["id"], ["contribution.id"], name=op.f("fk_proposal_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_proposal")),
    )
    op.create_index(op.f("ix_proposal_district_id"), "proposal", ["district_id"])
    op.create_index("ix_proposal_point", "proposal", ["lon", "lat"])
    op.create_table(
        "revision",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("contribution_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(length=300), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["contribution_id"],
            ["contribution.id"],
            name=op.f("fk_revision_contribution_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_revision")),
        sa.UniqueConstraint("contribution_id", "number", name=op.f("uq_revision_contribution_id_number")),
    )
    op.create_table(
        "vote",
        sa.Column("contribution_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("participant_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["contribution_id"], ["contribution.id"], name=op.f("fk_vote_contribution_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["participant_id"], ["participant.id"], name=op.f("fk_vote_participant_id")),
        sa.PrimaryKeyConstraint("contribution_id", "participant_id", name=op.f("pk_vote")),
    )
    op.create_index("ix_vote_participant_id", "vote", ["participant_id"])
    op.create_table(
        "decision",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=True),
        sa.Column(
            "outcome",
            sa.Enum("approve", "return", "reject", "hide", "restore", name="outcome", native_enum=False, length=40),
            nullable=False,
        ),
        sa.Column("rule_key", sa.String(length=40), nullable=False),
        sa.Column("statement", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "outcome IN ('approve', 'restore') OR statement <> ''",
            name=op.f("ck_decision_statement_of_reasons"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_decision_account_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["case_id"], ["moderation_case.id"], name=op.f("fk_decision_case_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decision")),
    )
    op.create_index("ix_decision_case_id", "decision", ["case_id"])
    op.create_table(
        "finding",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.Integer(), nullable=False),
        sa.Column("check_key", sa.String(length=40), nullable=False),
        sa.Column(
            "severity",
            sa.Enum("hint", "warning", name="severity", native_enum=False, length=40),
            nullable=False,
        ),
        sa.Column("message", sa.String(length=300), nullable=False),
        sa.Column("part", sa.String(length=10), nullable=False),
        sa.Column("start", sa.Integer(), nullable=True),
        sa.Column("end", sa.Integer(), nullable=True),
        sa.Column("related_contribution_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["case_id"], ["moderation_case.id"], name=op.f("fk_finding_case_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["related_contribution_id"],
            ["contribution.id"],
            name=op.f("fk_finding_related_contribution_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_finding")),
    )
    op.create_index("ix_finding_case_id", "finding", ["case_id"])
    op.create_table(
        "measure_source",
        sa.Column("measure_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("proposal_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("taken_up_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("note", sa.String(length=300), nullable=False),
        sa.ForeignKeyConstraint(
            ["measure_id"], ["measure.id"], name=op.f("fk_measure_source_measure_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["proposal_id"], ["proposal.id"], name=op.f("fk_measure_source_proposal_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("measure_id", "proposal_id", name=op.f("pk_measure_source")),
    )
    op.create_index(op.f("ix_measure_source_proposal_id"), "measure_source", ["proposal_id"])
    if op.get_bind().dialect.name == "sqlite":
        op.execute("CREATE VIRTUAL TABLE proposal_search USING fts5(scope, title, body, tokenize='unicode61')")
    else:
        op.create_table(
            "proposal_search",
            sa.Column(
                "proposal_id",
                sa.Integer(),
                sa.ForeignKey("proposal.id", ondelete="CASCADE"),
                primary_key=True,
            ),
            sa.Column("process_id", sa.Integer(), nullable=False),
            sa.Column("document", postgresql.TSVECTOR(), nullable=False),
        )
        op.create_index("ix_proposal_search_document", "proposal_search", ["document"], postgresql_using="gin")


def downgrade() -> None:
    """Go one step down."""
    op.drop_table("proposal_search")
    op.drop_index(op.f("ix_measure_source_proposal_id"), table_name="measure_source")
    op.drop_table("measure_source")
    op.drop_index("ix_finding_case_id", table_name="finding")
    op.drop_table("finding")
    op.drop_index("ix_decision_case_id", table_name="decision")
    op.drop_table("decision")
    op.drop_index("ix_vote_participant_id", table_name="vote")
    op.drop_table("vote")
    op.drop_table("revision")
    op.drop_index("ix_proposal_point", table_name="proposal")
    op.drop_index(op.f("ix_proposal_district_id"), table_name="proposal")
    op.drop_table("proposal")
    op.drop_index("ix_moderation_case_queue", table_name="moderation_case")
    op.drop_table("moderation_case")
    op.drop_index(op.f("ix_contribution_picture_contribution_id"), table_name="contribution_picture")
    op.drop_table("contribution_picture")
    op.drop_index("ix_comment_thread", table_name="comment")
    op.drop_index(op.f("ix_comment_parent_id"), table_name="comment")
    op.drop_table("comment")
    op.drop_index(op.f("ix_measure_theme_id"), table_name="measure")
    op.drop_table("measure")
    op.drop_index("ix_contribution_theme_supported", table_name="contribution")
    op.drop_index("ix_contribution_theme_newest", table_name="contribution")
    op.drop_index("ix_contribution_theme_discussed", table_name="contribution")
    op.drop_index("ix_contribution_supported", table_name="contribution")
    op.drop_index("ix_contribution_newest", table_name="contribution")
    op.drop_index("ix_contribution_discussed", table_name="contribution")
    op.drop_index("ix_contribution_author", table_name="contribution")
    op.drop_table("contribution")
    op.drop_table("theme")
    op.drop_index(op.f("ix_role_grant_account_id"), table_name="role_grant")
    op.drop_table("role_grant")
    op.drop_index(op.f("ix_process_document_process_id"), table_name="process_document")
    op.drop_table("process_document")
    op.drop_index(op.f("ix_phase_process_id"), table_name="phase")
    op.drop_table("phase")
    op.drop_table("participant")
    op.drop_index("ix_process_listing", table_name="process")
    op.drop_table("process")
    op.drop_index(op.f("ix_upload_municipality_id"), table_name="upload")
    op.drop_table("upload")
    op.drop_index(op.f("ix_sign_in_session_account_id"), table_name="sign_in_session")
    op.drop_table("sign_in_session")
    op.drop_index(op.f("ix_recovery_code_account_id"), table_name="recovery_code")
    op.drop_table("recovery_code")
    op.drop_index("ix_one_time_token_account_purpose", table_name="one_time_token")
    op.drop_table("one_time_token")
    op.drop_table("municipality_page")
    op.drop_table("district")
    op.drop_index("ix_outbox_open", table_name="outbox")
    op.drop_table("outbox")
    op.drop_index(op.f("ix_municipality_parent_id"), table_name="municipality")
    op.drop_table("municipality")
    op.drop_index("ix_audit_entry_subject", table_name="audit_entry")
    op.drop_index(op.f("ix_audit_entry_action"), table_name="audit_entry")
    op.drop_table("audit_entry")
    op.drop_table("account")
