"""Every sentence of a portal, Vietnamese first. A page that asks for a word that is not here fails its test.

A bigger portal takes gettext; for a sample, one table can be read at a glance.
"""

from __future__ import annotations

AMR: dict[str, tuple[str, str]] = {
    "pwd": ("mật khẩu", "password"),
    "otp": ("mã một lần", "one-time code"),
    "mfa": ("nhiều yếu tố", "several factors"),
    "hwk": ("khoá trong thiết bị", "key in a device"),
    "swk": ("khoá phần mềm", "software key"),
    "user": ("có người xác nhận", "presence confirmed"),
    "pin": ("mã PIN", "PIN"),
    "kba": ("mã dự phòng", "recovery code"),
    "rba": ("thiết bị đã biết", "known device"),
}

VALUES: dict[tuple[str, str], tuple[str, str]] = {
    ("gender", "male"): ("Nam", "Male"),
    ("gender", "female"): ("Nữ", "Female"),
    ("person_type", "citizen"): ("Công dân Việt Nam", "Citizen of Vietnam"),
    ("person_type", "foreigner"): ("Người nước ngoài", "Foreigner"),
    ("person_type", "identity_certificate"): (
        "Người được cấp giấy chứng nhận căn cước",
        "Holder of an identity certificate",
    ),
    ("nationality", "VN"): ("Việt Nam", "Vietnam"),
    ("locale", "vi"): ("Tiếng Việt", "Vietnamese"),
    ("locale", "en"): ("Tiếng Anh", "English"),
}
"""What a claim says by a code, in words. A code that is not here is shown as it was told."""

WORDS: dict[str, tuple[str, str]] = {
    # Every page
    "sample": ("Cổng mẫu", "Sample portal"),
    "sample.text": (
        "Trang để thử đăng nhập, không nhận hồ sơ thật.",
        "For trying out sign-in; it takes no real dossiers.",
    ),
    "skip": ("Đến nội dung chính", "Skip to the main content"),
    "other_language": ("English", "Tiếng Việt"),
    "footer": (
        "Đăng nhập do Một Cửa bảo đảm. Cổng này không thấy mật khẩu của bạn.",
        "Một Cửa does the signing in. This portal never sees your password.",
    ),
    "sign_in": ("Đăng nhập", "Sign in"),
    "sign_in.again": ("Đăng nhập lại", "Sign in again"),
    "sign_out": ("Đăng xuất", "Sign out"),
    "home": ("Về trang chủ", "Back to the home page"),
    "reference": ("Mã tham chiếu", "Reference code"),
    # Home
    "home.title": ("Dịch vụ công trực tuyến", "Public services online"),
    "home.lead": (
        "Một tài khoản Một Cửa dùng được ở mọi cổng dịch vụ công.",
        "One Một Cửa account opens every public service portal.",
    ),
    "home.hello": ("Xin chào,", "Hello,"),
    "home.hello.nameless": ("Bạn đã đăng nhập", "You are signed in"),
    "home.identity": ("Xem danh tính cổng này nhận được", "See the identity this portal received"),
    "home.services": ("Thủ tục", "Services"),
    "home.needs_sign_in": ("Cần đăng nhập", "Needs sign-in"),
    "home.needs": ("Cần {levels}", "Needs {levels}"),
    "ended.provider": (
        "Bạn đã được Một Cửa đăng xuất khỏi cổng này lúc {time}.",
        "You were signed out of this portal by Một Cửa at {time}.",
    ),
    "ended.provider.next": (
        "Có thể bạn đã đăng xuất ở cổng khác, hoặc phiên đã bị kết thúc. Đăng nhập lại khi cần.",
        "You may have signed out at another portal, or the session was ended. Sign in again when you need to.",
    ),
    "ended.person": ("Bạn đã đăng xuất khỏi cổng này lúc {time}.", "You signed out of this portal at {time}."),
    "ended.expiry": (
        "Phiên của bạn ở cổng này đã hết hạn lúc {time}.",
        "Your session at this portal expired at {time}.",
    ),
    "ended.person.next": ("Có thể đóng trình duyệt.", "You may close the browser."),
    "ended.expiry.next": ("Đăng nhập lại để làm tiếp.", "Sign in again to go on."),
    # Identity
    "identity.title": ("Danh tính đã xác thực", "Verified identity"),
    "identity.lead": (
        "Những gì Một Cửa cho cổng này biết về bạn, theo sự đồng ý của bạn.",
        "What Một Cửa told this portal about you, as you agreed.",
    ),
    "identity.name": ("Họ và tên", "Name"),
    "identity.birthdate": ("Ngày sinh", "Date of birth"),
    "identity.gender": ("Giới tính", "Sex"),
    "identity.personal_number": ("Số định danh cá nhân", "Personal number"),
    "identity.person_type": ("Bạn là", "You are"),
    "identity.nationality": ("Quốc tịch", "Nationality"),
    "identity.phone_number": ("Số điện thoại", "Phone number"),
    "identity.phone_number_verified": ("Số điện thoại đã kiểm tra", "Phone number checked"),
    "identity.email": ("Thư điện tử", "E-mail"),
    "identity.email_verified": ("Thư điện tử đã kiểm tra", "E-mail checked"),
    "identity.address": ("Địa chỉ", "Address"),
    "identity.locale": ("Ngôn ngữ", "Language"),
    "identity.zoneinfo": ("Múi giờ", "Time zone"),
    "identity.updated_at": ("Thay đổi gần nhất (giờ Việt Nam)", "Last change (Vietnam time)"),
    "identity.ial": ("Mức định danh", "Identification level"),
    "identity.aal": ("Mức xác thực", "Authentication level"),
    "identity.acr": ("Lớp xác thực (acr)", "Class (acr)"),
    "identity.amr": ("Cách xác thực", "Proved by"),
    "identity.auth_time": ("Xác thực lúc (giờ Việt Nam)", "Proved at (Vietnam time)"),
    "identity.sid": ("Mã phiên này ở riêng cổng này (sid)", "Code of this session at this portal alone (sid)"),
    "identity.sub": ("Mã của bạn ở riêng cổng này (sub)", "Your code at this portal alone (sub)"),
    "identity.yes": ("Rồi", "Yes"),
    "identity.no": ("Chưa", "No"),
    "identity.refresh": ("Lấy lại từ Một\u00a0Cửa", "Fetch again from Một\u00a0Cửa"),
    # Service
    "apply.code": ("Mã thủ tục", "Procedure code"),
    "apply.agency": ("Cơ quan thực hiện", "Agency"),
    "apply.sign_in": ("Đăng nhập để làm thủ tục này.", "Sign in to use this service."),
    "apply.step_up": ("Cần xác thực thêm", "A stronger sign-in is needed"),
    "apply.step_up.wanted": ("Thủ tục này cần", "This service needs"),
    "apply.step_up.have": ("Lần đăng nhập này", "This sign-in"),
    "apply.step_up.next": (
        "Một Cửa chỉ hỏi phần còn thiếu; bạn vẫn đang đăng nhập.",
        "Một Cửa asks only for what is missing; you stay signed in.",
    ),
    "apply.step_up.button": ("Xác thực thêm", "Prove more"),
    "apply.level": ("Cần mức định danh cao hơn", "A higher identification level is needed"),
    "apply.level.next": (
        "Một Cửa cho biết còn thiếu gì và làm thế nào để có; bạn vẫn đang đăng nhập.",
        "Một Cửa tells you what is missing and how to get it; you stay signed in.",
    ),
    "apply.level.button": ("Xem cách nâng mức", "See how"),
    "apply.ready": ("Bạn có thể làm thủ tục này.", "You may use this service."),
    "apply.ready.text": (
        "Lần đăng nhập của bạn đáp ứng mức cần có. Cổng mẫu dừng ở đây.",
        "Your sign-in meets what is needed. The sample stops here.",
    ),
    "levels": (
        "mức định danh\u00a0{ial}, mức xác thực\u00a0{aal}",
        "identification level\u00a0{ial}, authentication level\u00a0{aal}",
    ),
    "levels.unknown": ("mức chưa rõ", "an unknown level"),
    # Done
    "signed_out.title": ("Bạn đã đăng xuất", "You are signed out"),
    "signed_out.text": (
        "Phiên ở cổng này đã kết thúc. Một Cửa đã cho biết những cổng nào khác được báo.",
        "Your session here has ended. Một Cửa said which other portals were told.",
    ),
    "signed_out.next": ("Có thể đóng trình duyệt.", "You may close the browser."),
    # Troubles: what happened, what to do next
    "still_signed_in": ("Bạn vẫn đang đăng nhập ở cổng này.", "You are still signed in at this portal."),
    "back_to_service": ("Quay lại thủ tục", "Back to the service"),
    "access_denied.title": ("Bạn đã quay lại mà không tiếp tục", "You came back without going on"),
    "access_denied.text": (
        "Bạn chưa làm xong điều Một Cửa hỏi, hoặc không đồng ý chia sẻ. Lần này không thông tin nào được chuyển cho cổng này.",
        "You did not finish what Một Cửa asked, or did not allow it to share. Nothing was passed on to this portal this time.",
    ),
    "access_denied.next": (
        "Nếu đổi ý, hãy đăng nhập lại.",
        "If you change your mind, sign in again.",
    ),
    "login_required.title": ("Bạn chưa đăng nhập", "You are not signed in yet"),
    "login_required.text": (
        "Một Cửa cần hỏi bạn vài điều trước khi cổng này biết bạn là ai.",
        "Một Cửa has to ask you something before this portal may know who you are.",
    ),
    "login_required.next": ("Hãy đăng nhập để tiếp tục.", "Sign in to go on."),
    "unmet_authentication_requirements.title": ("Cần mức cao hơn", "A higher level is needed"),
    "unmet_authentication_requirements.text": (
        "Ở đây cần mức định danh hoặc mức xác thực mà tài khoản của bạn chưa có.",
        "An identification or authentication level is needed here that your account does not have yet.",
    ),
    "unmet_authentication_requirements.next": (
        "Một Cửa đã cho biết cần làm gì để nâng mức. Khi đã nâng mức, hãy đăng nhập lại.",
        "Một Cửa told you how to raise it. Sign in again once that is done.",
    ),
    "temporarily_unavailable.title": ("Một Cửa đang bận", "Một Cửa is busy"),
    "temporarily_unavailable.text": (
        "Chưa đăng nhập được vào lúc này. Thông tin của bạn vẫn an toàn.",
        "Signing in does not work just now. Nothing of yours is lost.",
    ),
    "temporarily_unavailable.next": ("Thử lại sau ít phút.", "Try again in a few minutes."),
    "provider_away.title": ("Chưa kết nối được Một Cửa", "Một Cửa does not answer"),
    "provider_away.text": (
        "Cổng này vẫn chạy nhưng chưa liên lạc được với Một Cửa để đăng nhập.",
        "This portal works, but cannot reach Một Cửa to sign you in.",
    ),
    "provider_away.next": ("Thử lại sau ít phút.", "Try again in a few minutes."),
    "unknown_state.title": ("Lần đăng nhập này không còn dùng được", "This sign-in can no longer be used"),
    "unknown_state.text": (
        "Có thể đã quá 15 phút, bạn đã tải lại trang, hoặc bắt đầu ở trình duyệt khác.",
        "It may be older than 15 minutes, the page was reloaded, or it began in another browser.",
    ),
    "unknown_state.next": ("Hãy đăng nhập lại từ đầu.", "Start signing in again."),
    "ended_meanwhile.title": ("Phiên đã kết thúc", "The session has ended"),
    "ended_meanwhile.text": (
        "Một Cửa đã kết thúc phiên này trong lúc bạn đăng nhập.",
        "Một Cửa ended this session while you were signing in.",
    ),
    "ended_meanwhile.next": ("Hãy đăng nhập lại.", "Sign in again."),
    "below_minimum.title": ("Mức xác thực chưa đủ", "Not proved strongly enough"),
    "below_minimum.text": (
        "Cổng này chỉ nhận lần đăng nhập đạt mức tối thiểu đã đăng ký. Lần này chưa đạt, nên bạn chưa được đăng nhập.",
        "This portal only takes sign-ins at its registered minimum. This one was below it, so you are not signed in.",
    ),
    "below_minimum.next": (
        "Đăng nhập lại bằng mật khẩu và mã xác thực. Nếu vẫn gặp, báo cho cổng này kèm mã tham chiếu.",
        "Sign in again with password and code. If it happens again, tell this portal the reference code.",
    ),
    "answer_refused.title": ("Câu trả lời không đáng tin", "An answer we cannot trust"),
    "answer_refused.text": (
        "Cổng này nhận được câu trả lời không đúng như Một Cửa phải gửi, nên đã bỏ đi. Bạn chưa được đăng nhập.",
        "What came back is not what Một Cửa would send, so it was thrown away. You are not signed in.",
    ),
    "answer_refused.next": (
        "Hãy đăng nhập lại từ trang chủ. Nếu vẫn gặp, báo cho cổng này kèm mã tham chiếu.",
        "Sign in again from the home page. If it happens again, tell this portal the reference code.",
    ),
    "refused_request.title": ("Một Cửa không nhận yêu cầu của cổng này", "Một Cửa refused this portal's request"),
    "refused_request.text": (
        "Lỗi nằm ở cổng này, không phải ở bạn.",
        "The fault is with this portal, not with you.",
    ),
    "refused_request.next": (
        "Thử lại sau. Nếu vẫn gặp, báo cho cổng này kèm mã tham chiếu.",
        "Try again later. If it happens again, tell this portal the reference code.",
    ),
    "signed_out_here_only.title": ("Bạn đã đăng xuất khỏi cổng này", "You are signed out of this portal"),
    "signed_out_here_only.text": (
        "Chưa liên lạc được với Một Cửa, nên phiên ở đó và ở các cổng khác có thể vẫn còn.",
        "Một Cửa could not be reached, so your session there and at other portals may still be open.",
    ),
    "signed_out_here_only.next": (
        "Trên máy dùng chung: đóng trình duyệt, hoặc đăng xuất tại Một Cửa sau ít phút.",
        "On a shared computer: close the browser, or sign out at Một Cửa in a few minutes.",
    ),
    "repeated_parameter.title": ("Địa chỉ không đúng", "This address is not right"),
    "repeated_parameter.text": (
        "Câu trả lời có phần bị lặp nên cổng này không dùng.",
        "The answer repeats a parameter, so this portal did not use it.",
    ),
    "repeated_parameter.next": ("Hãy đăng nhập lại từ trang chủ.", "Sign in again from the home page."),
    "foreign_issuer.title": ("Không bắt đầu đăng nhập", "No sign-in was begun"),
    "foreign_issuer.text": (
        "Địa chỉ bạn theo muốn đăng nhập bằng một nơi mà cổng này không dùng.",
        "The address you followed wants to sign you in at a place that this portal does not use.",
    ),
    "foreign_issuer.next": ("Hãy đăng nhập từ trang chủ.", "Sign in from the home page."),
    "foreign_form.title": ("Biểu mẫu đã cũ", "This form is out of date"),
    "foreign_form.text": (
        "Biểu mẫu không phải của phiên hiện tại nên chưa làm gì.",
        "The form does not belong to your present session, so nothing was done.",
    ),
    "foreign_form.next": ("Mở lại trang và thử lần nữa.", "Open the page again and retry."),
    "unknown_service.title": ("Không có thủ tục này", "There is no such service"),
    "unknown_service.text": (
        "Mã thủ tục trong địa chỉ không có ở cổng này.",
        "This portal has no service with the procedure code in the address.",
    ),
    "unknown_service.next": ("Chọn thủ tục ở trang chủ.", "Choose a service on the home page."),
    "not_found.title": ("Không có trang này", "There is no such page"),
    "not_found.text": ("Địa chỉ có thể đã đổi hoặc gõ nhầm.", "The address may have changed or been mistyped."),
    "not_found.next": ("Bắt đầu từ trang chủ.", "Start from the home page."),
    "bad_request.title": ("Cổng này không hiểu yêu cầu", "This portal does not understand the request"),
    "bad_request.text": ("Không có gì thay đổi.", "Nothing was changed."),
    "bad_request.next": ("Bắt đầu lại từ trang chủ.", "Start again from the home page."),
    "unexpected.title": ("Cổng này gặp lỗi", "Something went wrong here"),
    "unexpected.text": ("Lỗi đã được ghi lại.", "It has been recorded."),
    "unexpected.next": (
        "Thử lại sau. Nếu vẫn gặp, báo cho cổng này kèm mã tham chiếu.",
        "Try again later. If it happens again, tell this portal the reference code.",
    ),
}


def say(key: str, language: str, **values: object) -> str:
    """Return the sentence of `key` in `language` (`vi` or `en`), with `values` filled in.

    Raises:
        KeyError: no such sentence.
    """
    return WORDS[key][0 if language == "vi" else 1].format(**values)
